"""Whether this machine runs on its battery, asked of the system itself; looked at again after a while."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from pathlib import Path

#: So long an answer is believed: a plug is not pulled between two keys.
_HOLDS_S = 30.0
_SUPPLIES = Path("/sys/class/power_supply")
_UNPLUGGED = 0


class Power:
    """Remembers the last answer. Machines that cannot say are taken to be plugged in."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")
        self._on_battery = False

    def on_battery(self) -> bool:
        """Whether the machine runs on its battery. Takes microseconds; some milliseconds at times on macOS."""
        if time.monotonic() - self._asked_at > _HOLDS_S:
            self._asked_at = time.monotonic()
            self._on_battery = _on_battery()
        return self._on_battery


def _on_battery() -> bool:
    try:
        if sys.platform == "win32":
            status = ctypes.create_string_buffer(12)  # SYSTEM_POWER_STATUS (winbase.h); ACLineStatus is its first byte
            return bool(ctypes.windll.kernel32.GetSystemPowerStatus(status)) and status.raw[0] == _UNPLUGGED
        if sys.platform == "darwin":
            command = ["/usr/bin/pmset", "-g", "batt"]
            said = subprocess.run(command, capture_output=True, text=True, timeout=1, check=False).stdout
            return "'Battery Power'" in said
        return linux(_SUPPLIES)
    except (OSError, ValueError, subprocess.SubprocessError):
        return False


def linux(supplies: Path) -> bool:
    """A battery discharges, and no supply from the wall is online (Linux: ABI/testing/sysfs-class-power)."""
    batteries = False
    for supply in supplies.iterdir() if supplies.is_dir() else ():
        kind = _read(supply / "type")
        if kind in ("Mains", "USB") and _read(supply / "online") == "1":
            return False
        if kind == "Battery" and _read(supply / "scope") != "Device":  # a mouse has one too
            batteries |= _read(supply / "status") == "Discharging"
    return batteries


def _read(file: Path) -> str:
    return file.read_text(encoding="ascii", errors="replace").strip() if file.is_file() else ""
