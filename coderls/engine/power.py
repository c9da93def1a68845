"""Whether this machine runs on its battery, where work that nobody waits for is not worth its charge."""

from __future__ import annotations

import ctypes
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

SUPPLIES = Path("/sys/class/power_supply")
EVERY_S = 30.0  # asking is a few files on Linux and a process of 20 ms on macOS


class Power:
    """Says whether to save power now: on a battery, unless `setting` is "off". It is looked at only when it is asked.

    `on_battery` and `clock` stand for the real ones in tests.
    """

    def __init__(
        self,
        setting: str = "auto",
        on_battery: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._off = setting == "off"
        self._on_battery = on_battery or runs_on_battery
        self._clock = clock
        self._looked = float("-inf")
        self._saves = False

    def saves(self) -> bool:
        """The answer of at most EVERY_S ago."""
        if self._off:
            return False
        if self._clock() - self._looked >= EVERY_S:
            self._saves = self._on_battery()
            self._looked = self._clock()
        return self._saves


def runs_on_battery() -> bool:
    """Whether nothing but a battery feeds this machine. False where the system does not say."""
    try:
        if sys.platform == "win32":
            return _windows()
        if sys.platform == "darwin":
            return _macos()
        return linux_on_battery(SUPPLIES)
    except (OSError, subprocess.SubprocessError) as error:
        log.info("Whether this machine runs on a battery cannot be told: %s", error)
        return False


def linux_on_battery(folder: Path) -> bool:
    """By the kernel's files (Documentation/ABI/testing/sysfs-class-power): a battery of the machine itself is being
    emptied, and no mains or USB supply is online. Batteries of mice and keyboards (scope Device) do not count.
    """
    emptied = False
    for supply in sorted(folder.iterdir()) if folder.is_dir() else []:
        kind = _read(supply / "type")
        if _read(supply / "scope") == "Device":
            continue
        if kind == "Battery":
            emptied = emptied or _read(supply / "status") == "Discharging"
        elif _read(supply / "online") not in ("", "0"):
            return False
    return emptied


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""  # not every supply has every file


def _macos() -> bool:
    command = ["/usr/bin/pmset", "-g", "batt"]
    said = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=5, check=True)
    return "'Battery Power'" in said.stdout.partition("\n")[0]


def _windows() -> bool:
    """ACLineStatus of SYSTEM_POWER_STATUS (winbase.h), its first byte: 0 is a battery, 255 unknown."""
    status = (ctypes.c_ubyte * 12)()
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  (there on Windows only)
    return bool(kernel.GetSystemPowerStatus(ctypes.byref(status))) and status[0] == 0
