"""VS Code for tests: code-server with the packed extension and the real language server, and scenarios in a browser.

A scenario is a script in `tests/editors/vscode/` (playwright, in Node). It gets what it needs as one JSON argument.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.editors.home import EDITORS, ROOT, SERVER, Home, installed
from tests.server.conftest import eventually

EXTENSION = EDITORS / "vscode"
VSIX = EXTENSION / "coderls.vsix"
SCENARIOS = Path(__file__).resolve().parent / "vscode"
ARTIFACTS = Path(os.environ.get("CODERLS_TEST_ARTIFACTS") or ROOT / "test-artifacts") / "vscode"
#: Of the whole run of a scenario; each wait in it has its own limit.
LONGEST_S = 400


def packed() -> Path:
    """The packed extension. Skips the test where it was not built; fails in CI, which builds it."""
    if not VSIX.exists():
        why = "the extension is not packed: run `make vscode`"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return VSIX


def browser() -> str:
    """Chromium of this machine."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("Chromium is not there: run tests/editors/install.sh vscode")
    return found


class CodeServer:
    """A running code-server with folders of its own. `home.work` is what it opens.

    `cache`: where models are, if not in `home`.
    """

    def __init__(self, home: Home, settings: dict[str, Any], cache: Path | None = None) -> None:
        self.home = home
        self.cache = cache
        self.node = installed("vscode", "node/bin/node")
        self.folder = self.node.parents[2]
        self.data = home.path / "vscode"
        vsix = packed()
        for place in ("Machine", "User"):
            (self.data / place).mkdir(parents=True)
        # Settings of the machine's scope count here only; those of the user are in the browser's profile.
        self._write("Machine", {"workbench.welcomePage.walkthroughs.openOnInstall": False, **settings})
        self._write("User", QUIET)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        install = [*self.command, "--install-extension", str(vsix)]
        subprocess.run(install, env=self.environment, check=True, timeout=90, capture_output=True)
        self.log = (home.path / "code-server.log").open("wb")
        self.process = subprocess.Popen(
            [*self.command, "--auth", "none", "--bind-addr", f"127.0.0.1:{self.port}", *OPTIONS],
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
        )
        eventually(self.answers, "code-server", 60)

    @property
    def command(self) -> list[str]:
        entry = self.folder / "code-server" / "out" / "node" / "entry.js"
        folders = ["--user-data-dir", str(self.data), "--extensions-dir", str(self.data / "extensions")]
        return [str(self.node), str(entry), "--config", str(self.data / "config.yaml"), *folders]

    @property
    def environment(self) -> dict[str, str]:
        # What Node asks first is the folder of its own; nobody's settings of npm or git are wanted.
        cache = {} if self.cache is None else {"CODERLS_CACHE": str(self.cache)}
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**keep, **self.home.quiet, **cache, "EXTENSIONS_GALLERY": '{"serviceUrl":""}'}

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.home.path / "code-server.log").read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def run(self, scenario: str, name: str = "", **given: Any) -> None:
        """Run a scenario; its last words are in the failure, its pictures among the artifacts."""
        facts = {
            "name": name or scenario,
            "editors": str(self.folder),
            "chromium": browser(),
            "port": self.port,
            "work": str(self.home.work),
            "data": str(self.data),
            "extension": str(EXTENSION),
            "artifacts": str(ARTIFACTS),
            **given,
        }
        script = SCENARIOS / f"{scenario}.mjs"
        ended = subprocess.run(
            [str(self.node), str(script), json.dumps(facts)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        if ended.returncode != 0:
            pytest.fail(f"{ended.stdout}\n{ended.stderr}\n\n{self.said()}", pytrace=False)

    def said(self) -> str:
        """The end of the extension's logs."""
        logs = sorted(self.data.rglob("*coderls.log"))
        return "\n".join(f"{log.name}:\n{log.read_text(errors='replace')[-3000:]}" for log in logs)

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def _write(self, place: str, settings: dict[str, Any]) -> None:
        (self.data / place / "settings.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")


def settings_for(home: Home) -> dict[str, Any]:
    """Settings of the machine: the server of this checkout with the model of `home`."""
    flat = {
        f"coderls.{section}.{key}": value
        for section, values in home.settings.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }
    return {"coderls.server.command": SERVER, **flat}


OPTIONS = (
    *("--disable-telemetry", "--disable-update-check", "--disable-workspace-trust", "--ignore-last-opened"),
    *("--disable-getting-started-override", "--vscode-option", "enable-smoke-test-driver"),
)
QUIET = {
    "workbench.startupEditor": "none",
    "telemetry.telemetryLevel": "off",
    "extensions.autoCheckUpdates": False,
    "extensions.autoUpdate": "off",
    "update.mode": "none",
    "files.autoSave": "off",
    "files.hotExit": "off",
    "chat.disableAIFeatures": True,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.tips.enabled": False,
    "editor.fontFamily": "DejaVu Sans Mono",
    "editor.minimap.enabled": False,
    "explorer.autoReveal": False,
}
