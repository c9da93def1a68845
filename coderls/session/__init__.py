"""One editor's session: open documents, requests of which the newest wins, the engine, the index. No LSP types.

Everything here runs on the event loop's thread; what takes long is awaited, or lives in a thread of its own that
touches nothing of the session but frozen values.
"""

from coderls.session.fixes import Offer, Resolved
from coderls.session.front import Session
from coderls.session.ui import Client, Progress

__all__ = ["Client", "Offer", "Progress", "Resolved", "Session"]
