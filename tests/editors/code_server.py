"""VS Code for tests: code-server with the packed extension and the real language server, and scenarios in a browser.

A scenario is a script in `tests/editors/vscode/` (playwright, in Node). It gets what it needs as one JSON argument.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
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

    `bare`: as on a machine of somebody new. Folders are not trusted until the user says so, the walkthrough comes by
    itself, toasts are shown, and on PATH is nothing but the folder `bin`. `others`: extensions that are there, too.
    """

    def __init__(self, home: Home, settings: dict[str, Any], bare: bool = False, others: Sequence[Path] = ()) -> None:
        self.home = home
        self.bin = home.path / "bin"
        self.bare = bare
        self.node = installed("vscode", "node/bin/node")
        self.folder = self.node.parents[2]
        self.data = home.path / "vscode"
        extensions = [argument for each in (packed(), *others) for argument in ("--install-extension", str(each))]
        self.settings = {**({} if bare else {WALKTHROUGH: False}), **settings}
        for place in ("Machine", "User"):
            (self.data / place).mkdir(parents=True)
        # Settings of the machine's scope count here only; those of the user are in the browser's profile.
        self._write("User", QUIET)
        self._write("Machine", self.settings)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        subprocess.run([*self.command, *extensions], env=self.environment, check=True, timeout=90, capture_output=True)
        self.log = (home.path / "code-server.log").open("wb")
        self.process = subprocess.Popen(
            [
                *self.command,
                "--auth",
                "none",
                "--bind-addr",
                f"127.0.0.1:{self.port}",
                *OPTIONS,
                *(() if bare else DRIVEN),
            ],
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
        )
        self.browser = self._browser()
        #: Whether there is a window that scenes share.
        self.window = False
        try:
            eventually(self.answers, "code-server", 60)
            eventually(self._port_file.exists, "the browser", 60)
        except BaseException:
            self.close()
            raise

    @property
    def command(self) -> list[str]:
        entry = self.folder / "code-server" / "out" / "node" / "entry.js"
        folders = ["--user-data-dir", str(self.data), "--extensions-dir", str(self.data / "extensions")]
        return [str(self.node), str(entry), "--config", str(self.data / "config.yaml"), *folders]

    @property
    def environment(self) -> dict[str, str]:
        # What Node asks first is the folder of its own; nobody's settings of npm or git are wanted.
        keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PATIENCE") if name in os.environ}
        path = {"PATH": str(self.bin)} if self.bare else {}
        return {**keep, **path, **self.home.quiet, "CODERLS_LOG": "INFO", "EXTENSIONS_GALLERY": '{"serviceUrl":""}'}

    @property
    def _port_file(self) -> Path:
        return self.home.path / "browser" / "DevToolsActivePort"

    def _browser(self) -> subprocess.Popen[bytes]:
        """A browser of its own, which finds no host but this one."""
        environment = {**os.environ, **self.home.quiet}
        profile = f"--user-data-dir={self.home.path / 'browser'}"
        return subprocess.Popen(
            [browser(), *FLAGS, profile, "about:blank"], env=environment, stdout=self.log, stderr=self.log
        )

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.home.path / "code-server.log").read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def run(
        self, scenario: str, settings: dict[str, Any] | None = None, /, *, shared: bool = False, **given: Any
    ) -> None:
        """Run a scenario, with `settings` of its own; `shared`: in the window that is there from an earlier one.

        When it fails, the failure has its last words, and the artifacts have pictures and logs.
        """
        self._write("Machine", {**self.settings, **(settings or {})})  # those of a scenario before may be others
        facts = {
            "name": scenario,
            "editors": str(self.folder),
            "browser": f"http://127.0.0.1:{self._port_file.read_text().splitlines()[0]}",
            "shared": shared,
            "port": self.port,
            "work": str(self.home.work),
            "bin": str(self.bin),
            "data": str(self.data),
            "extension": str(EXTENSION),
            "artifacts": str(ARTIFACTS),
            **given,
        }
        began = time.time()
        try:
            ended = subprocess.run(
                [str(self.node), str(SCENARIOS / f"{scenario}.mjs"), json.dumps(facts)],
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
            said, failed = f"{ended.stdout}\n{ended.stderr}", ended.returncode != 0
        except subprocess.TimeoutExpired as error:
            said, failed = f"{scenario} did not end.\n{error.stdout!r}\n{error.stderr!r}", True
        self.window = not failed and (shared or self.window)
        if failed:
            pytest.fail(f"{said}\n\n{self._keep_logs(scenario, began)}", pytrace=False)

    def ended(self) -> None:
        """Wait until only the shared window has a server: whoever closes a window ends its server, too.

        VS Code may take until the end of the time in which a window could come back.
        """
        eventually(lambda: len(self.servers()) <= self.window, "the end of the servers of closed windows", 90)

    def servers(self) -> list[int]:
        """The language servers that its windows started."""
        found = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if "--stdio" in process.cmdline() and process.cwd().startswith(str(self.data)):
                    found[process.pid] = process.ppid()
        return [pid for pid, parent in found.items() if parent not in found]

    def _keep_logs(self, scenario: str, began: float) -> str:
        """Put what was logged since then among the artifacts; the end of what the extension and the server said."""
        folder = ARTIFACTS / f"{scenario}-logs"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        said: list[str] = []
        for log in sorted(self.home.path.rglob("*.log")):
            if log.stat().st_mtime < began or log.stat().st_size == 0 or "browser" in log.parts:
                continue
            shutil.copy(log, folder / "-".join(log.relative_to(self.home.path).parts[-3:]))
            if log.name.startswith("overheard"):
                words = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("! ")]
                said.append("\n".join([log.name, *words[-40:]]))
        return "\n".join([*said, f"All logs are in {folder}"])

    def close(self) -> None:
        for process in (self.browser, self.process):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()

    def _write(self, place: str, settings: dict[str, Any]) -> None:
        """In one step: VS Code must not read half of it."""
        file = self.data / place / "settings.json"
        text = json.dumps(settings, indent=1)
        if file.exists() and file.read_text(encoding="utf-8") == text:
            return
        new = file.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(file)


def python_extension(folder: Path) -> Path:
    """What stands for the Python extension, packed into `folder`."""
    vsix = folder / "python.vsix"
    with zipfile.ZipFile(vsix, "w") as made:
        for file in (SCENARIOS / "python-extension").iterdir():
            made.write(file, f"extension/{file.name}")
    return vsix


def settings_for(home: Home) -> dict[str, Any]:
    """Settings of the machine: the server of this checkout with the model of `home`."""
    flat = {
        f"coderls.{section}.{key}": value
        for section, values in home.settings.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }
    return {"coderls.server.command": overheard(home), **flat}


def overheard(home: Home, command: Sequence[str] = SERVER) -> list[str]:
    """The command of a server all of whose words are kept in a log."""
    return [sys.executable, str(Path(__file__).with_name("overheard.py")), str(home.path / "said"), *command]


OPTIONS = (
    # What a page says as it goes may be lost: a window that is gone for so many seconds does not come back here.
    *("--auth", "none", "--reconnection-grace-time", "30"),
    *("--disable-telemetry", "--disable-update-check", "--ignore-last-opened", "--disable-getting-started-override"),
    *("--vscode-option", "force-disable-user-env"),  # PATH is what it is here, not what a login shell makes of it
)
DRIVEN = ("--disable-workspace-trust", "--vscode-option", "enable-smoke-test-driver")
FLAGS = (
    *("--headless=new", "--remote-debugging-port=0", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
    *("--no-first-run", "--no-default-browser-check", "--disable-extensions", "--force-device-scale-factor=1"),
    # A window that nobody sees is drawn all the same, and its clocks run.
    *("--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows"),
    *("--disable-background-timer-throttling", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
)
WALKTHROUGH = "workbench.welcomePage.walkthroughs.openOnInstall"
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
    "editor.cursorBlinking": "solid",
    "workbench.reduceMotion": "on",
    "git.enabled": False,
    "explorer.autoReveal": False,
}
