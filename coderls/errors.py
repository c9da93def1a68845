"""Every error that coderls raises on purpose, in one tree.

    CoderlsError
    ├── SettingsError          an option that cannot be used
    ├── ModelError
    │   ├── ModelNotFound      no such model name or directory
    │   ├── ModelBroken        damaged, truncated, or of an architecture that the engine does not run
    │   └── ModelUnavailable   it could not be fetched or built (offline, disk full, wrong checksum)
    ├── EngineError
    │   ├── EngineStartFailed  the engine process could not be started, or left while loading
    │   ├── EngineUnreachable  nobody answers there (any more)
    │   │   └── EngineLeaving  it is on its way out, and does nothing new: another one can be started
    │   ├── EngineMismatch     it speaks another protocol version, or is no engine at all
    │   ├── DeviceLost         a card failed or is gone: this engine process can use it no more
    │   ├── RunStopped         a run of the model was stopped between two layers, as it was asked to
    │   └── RequestRefused     the engine says that this request is wrong (its `status` is the HTTP status)
    ├── CheckerFailed          a compiler, linter or test command gave no answer that can be used
    ├── RecordBroken           a record of a completion that cannot be read, or a folder that cannot hold one
    ├── UsageError             options or arguments of a command that do not go together
    │   └── NotThere           a file or folder that a command names (a DocumentError, too)
    ├── DocumentError          a document or position that cannot be worked on
    └── WorkspaceError         a repository or folder that cannot be read

"No suggestion" is not an error: functions return None for it.
"""

from __future__ import annotations


class CoderlsError(Exception):
    """What happened and where (`what`), and what the user can do about it (`todo`)."""

    def __init__(self, what: str, todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo

    def __str__(self) -> str:
        return f"{self.what} {self.todo}".rstrip()


class SettingsError(CoderlsError):
    """An option that cannot be used."""


class ModelError(CoderlsError):
    """Something about a model on disk."""


class ModelNotFound(ModelError):
    """No model of this name, and no directory of this path."""


class ModelBroken(ModelError):
    """The model directory is damaged, incomplete, or not one that the engine runs."""


class ModelUnavailable(ModelError):
    """The model could not be fetched or built."""


class EngineError(CoderlsError):
    """Something about the engine process."""


class EngineStartFailed(EngineError):
    """The engine process did not come up."""


class EngineUnreachable(EngineError):
    """Nobody answers at the engine's address."""


class EngineSilent(EngineUnreachable):
    """The engine holds the connection and says nothing: it hangs, or is too busy for the moment."""


class EngineLeaving(EngineUnreachable):
    """The engine is on its way out (idle, or told to), and has not done what was asked."""


class EngineMismatch(EngineError):
    """Somebody answers, but not an engine that this version can talk to."""


class DeviceLost(EngineError):
    """A card failed or is gone. The engine process that used it has to leave; a new one may find it again."""


class RunStopped(EngineError):
    """A run of the model was stopped before its end, because whoever asked for it said so."""


class RequestRefused(EngineError):
    """The engine refused this request; `status` is its HTTP status."""

    def __init__(self, what: str, todo: str = "", status: int = 400) -> None:
        super().__init__(what, todo)
        self.status = status


class CheckerFailed(CoderlsError):
    """A compiler, linter or test command gave no answer that can be used."""


class RecordBroken(CoderlsError):
    """A file that is no record of a completion or a damaged one, or a folder in which none can be written."""


class UsageError(CoderlsError):
    """Options or arguments of a command that do not go together."""


class DocumentError(CoderlsError):
    """A document or a position in it that cannot be worked on."""


class NotThere(UsageError, DocumentError):
    """A file or folder that a command names is not there, or is the other of the two."""


class WorkspaceError(CoderlsError):
    """A repository or folder that cannot be read."""
