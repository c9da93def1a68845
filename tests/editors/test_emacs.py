"""Emacs: ghost text through eglot in a terminal, and the completion lists of eglot and lsp-mode."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.editors.home import EDITORS, SERVER, Home, installed, until

if sys.platform != "win32":
    from tests.editors.terminal import Terminal

pytestmark = pytest.mark.editors

COMMON = """
(setq native-comp-jit-compilation nil native-comp-enable-subr-trampolines nil make-backup-files nil
      auto-save-default nil create-lockfiles nil inhibit-startup-screen t eglot-sync-connect 60
      eglot-autoshutdown t eglot-confirm-server-initiated-edits nil eldoc-idle-delay 1000
      python-indent-guess-indent-offset nil warning-minimum-level :error)
(defun wait-for (what test)
  (let ((end (+ (float-time) 40)))
    (while (not (funcall test))
      (when (> (float-time) end) (error "%s did not come to pass" what))
      (accept-process-output nil 0.02))))
"""


def lisp(words: list[str]) -> str:
    """A list of strings, quoted."""
    return "'(" + " ".join(json.dumps(word) for word in words) + ")"


def command(home: Home) -> list[str]:
    """The server with its folders, for clients that cannot set its environment."""
    return ["env", *(f"{name}={value}" for name, value in home.environment.items()), *SERVER]


def configuration(home: Home) -> str:
    """Options as eglot's `eglot-workspace-configuration` has them: JSON as a plist."""

    def plist(value: object) -> str:
        if isinstance(value, dict):
            return "(" + " ".join(f":{name} {plist(item)}" for name, item in value.items()) + ")"
        return {True: "t", False: ":json-false"}.get(value) if isinstance(value, bool) else json.dumps(value)  # type: ignore[return-value]

    return f"'(:coderls {plist(home.settings)})"


def batch(home: Home, name: str, script: str) -> str:
    """Run a script in Emacs without a terminal; what it said."""
    path = home.path / f"{name}.el"
    path.write_text(COMMON + script, encoding="utf-8")
    done = subprocess.run(
        [installed("emacs", "emacs"), "-Q", "--batch", "-l", path],
        capture_output=True,
        text=True,
        cwd=home.work,
        env={"PATH": "/usr/bin:/bin", **home.quiet},
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def test_ghost_text_in_a_terminal(home: Home) -> None:
    path = home.file("emacs_ghost.py", "def add(a, b):\n    \n")
    init = home.path / "emacs_init.el"
    init.write_text(
        COMMON
        + f"""
(add-to-list 'load-path {json.dumps(str(EDITORS / "emacs"))})
(require 'coderls)
(setq coderls-command {lisp(command(home))})
(setq-default eglot-workspace-configuration {configuration(home)})
(setq-default mode-line-format '((:eval (coderls-status))))
(coderls-use 'python-mode)
(keymap-set coderls-ghost-map "TAB" #'coderls-accept)
(keymap-set coderls-ghost-map "M-f" #'coderls-accept-word)
(keymap-set coderls-ghost-map "C-g" #'coderls-dismiss)
(add-hook 'python-mode-hook #'eglot-ensure)
""",
        encoding="utf-8",
    )
    terminal = Terminal([installed("emacs", "emacs"), "-nw", "-Q", "-l", init, path], home.quiet, home.work)
    try:
        terminal.shows("coderls: fake", within_s=60)
        terminal.keys('\x1b:(message "tab: %s" (key-binding "\\t"))\r')
        terminal.shows("tab: indent-for-tab-command")  # ours only while there is ghost text
        terminal.keys("\x1b>\x10\x05")  # the end of the second line
        terminal.keys("return ")
        terminal.shows("return a + b")
        terminal.keys("a")
        terminal.shows("return a + b")
        terminal.keys("\x1bf")  # a word of the rest
        terminal.shows("return a + b")
        terminal.keys("\t")
        terminal.keys("\x18\x13")
        until(lambda: terminal.text() and "return a + b" in path.read_text(), "the saved text", said=terminal.text)
    finally:
        terminal.close()


def test_eglot_offers_it_in_the_completion_list(home: Home) -> None:
    path = home.file("emacs_list.py", "def add(a, b):\n    return ")
    said = batch(
        home,
        "eglot",
        f"""
(require 'eglot)
(setq-default eglot-workspace-configuration {configuration(home)})
(add-to-list 'eglot-server-programs (cons 'python-mode {lisp(command(home))}))
(find-file {json.dumps(str(path))})
(goto-char (point-max))
(apply #'eglot--connect (eglot--guess-contact))
(wait-for "a completion"
  (lambda () (insert " ") (delete-char -1)
    (let ((capf (eglot-completion-at-point)))
      (and capf (all-completions "" (nth 2 capf))))))
(completion-at-point)
(message "buffer: %S" (buffer-substring-no-properties (point-min) (point-max)))
(set-buffer-modified-p nil)
(eglot-shutdown (eglot-current-server))
""",
    )
    assert 'buffer: "def add(a, b):\n    return a + b"' in said


def test_lsp_mode_offers_it_beside_other_servers(home: Home) -> None:
    path = home.file("emacs_lsp.py", "def add(a, b):\n    return ")
    snippet = (EDITORS / "emacs" / "lsp-mode.el").read_text(encoding="utf-8")
    said = batch(
        home,
        "lsp",
        f"""
(setq lsp-auto-guess-root t lsp-restart 'ignore lsp-enable-snippet nil lsp-session-file "{home.path}/session"
      lsp-warn-no-matched-clients nil lsp-enable-suggest-server-download nil lsp-enabled-clients '(coderls))
(require 'lsp-mode)
(setq coderls-command {lisp(command(home))})
{snippet}
(setq lsp-coderls-options {configuration(home)})
(find-file {json.dumps(str(path))})
(lsp-workspace-folders-add {json.dumps(str(home.work))})
(goto-char (point-max))
(lsp)
(wait-for "a running server"
  (lambda () (cl-some (lambda (w) (eq 'initialized (lsp--workspace-status w))) (lsp-workspaces))))
(let (found)
  (wait-for "a completion"
    (lambda () (insert " ") (delete-char -1)
      (let ((capf (lsp-completion-at-point)))
        (setq found (and capf (all-completions "" (nth 2 capf)))))))
  (message "items: %S" (mapcar #'substring-no-properties found)))
(set-buffer-modified-p nil)
(lsp-disconnect)
""",
    )
    assert '"a + b"' in said
