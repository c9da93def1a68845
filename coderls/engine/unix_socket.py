"""What server and clients both have to know about unix sockets."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

LONGEST_SOCKET_PATH = 103  # bytes: macOS has room for 104 with the final zero


def is_too_long(path: Path) -> bool:
    """Whether a unix socket cannot have this path."""
    return len(os.fsencode(path)) > LONGEST_SOCKET_PATH


def listens(path: Path) -> bool:
    """Whether somebody is at the socket `path`. Raises OSError where that cannot be told, e.g. no permission."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except (BlockingIOError, TimeoutError):  # its queue is full: somebody is there
            return True
    return True
