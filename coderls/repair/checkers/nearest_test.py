"""The project's own tests as the last checker: the user's command, run on the nearest test in a shadow copy.

It is code of the project, so it is run in trusted folders only. A test that failed before may go on failing: it is no
new complaint.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from coderls.document import Document
from coderls.errors import CheckerFailed
from coderls.repair.checkers.checker import Report, Step
from coderls.repair.checkers.process import Done, run
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.shadow import LINKED, Shadow

#: Where the name of the test file goes in the command.
MARK = "{test}"
#: How test files are named after the file that they test.
_NAMES = ("test_{stem}{ending}", "{stem}_test{ending}", "{stem}.test{ending}", "{stem}.spec{ending}",
          "{stem}Test{ending}", "{stem}_spec{ending}", "test_{folder}{ending}")  # fmt: skip
_FAILING = "the test fails"


class NearestTest:
    """The user's test command, split as a shell would split it and run without one."""

    name = "tests"
    step = Step.TESTS
    languages: frozenset[str] = frozenset()

    def __init__(self, command: str, surroundings: Surroundings) -> None:
        self._command = command
        self._surroundings = surroundings
        self._shadow: Shadow | None = None
        self._turn = asyncio.Lock()

    @property
    def version_of(self) -> str:
        """The command."""
        return self._command

    async def check(self, document: Document, *, limit_s: float = 30.0, others: Sequence[Document] = ()) -> Report:
        """A complaint if the command ends with another code than 0; nothing where no test belongs to the file."""
        began = time.perf_counter()
        try:
            async with self._turn:
                report = await self._run(document, limit_s, others)
        except CheckerFailed as error:
            report = Report(self.name, failed=str(error))
        return replace(report, took_s=time.perf_counter() - began)

    async def aclose(self) -> None:
        """Delete the shadow copy."""
        async with self._turn:
            shadow, self._shadow = self._shadow, None
            if shadow is not None:
                await asyncio.to_thread(shadow.close)

    async def _run(self, document: Document, limit_s: float, others: Sequence[Document]) -> Report:
        folder, path = self._surroundings.folder, document.path
        if folder is None or path is None:
            raise CheckerFailed("A test is run for a saved file of a folder.")
        test = await asyncio.to_thread(nearest, path, folder) if MARK in self._command else None
        if test is None and MARK in self._command:
            raise CheckerFailed(f"no test is named after {path.name}.")
        words = [word.replace(MARK, test or "") for word in shlex.split(self._command)]
        self._shadow = self._shadow or Shadow(folder)
        await asyncio.to_thread(self._shadow.refresh, LINKED)
        with self._shadow.as_open(others), self._shadow.holding(path, document.text):
            done = await self._start(words, self._shadow.root, limit_s)
        if done.code:
            return Report(self.name, (Diagnostic(0, len(document.text), _FAILING, source=self.name, rule="test"),))
        return Report(self.name)

    async def _start(self, words: list[str], root: Path, limit_s: float) -> Done:
        program = self._surroundings.find(words[0]) if words and not os.path.dirname(words[0]) else None
        if not words or (program is None and not os.path.dirname(words[0])):
            raise CheckerFailed(f"The test command {self._command!r} names no program that can be found.")
        environment = self._surroundings.environment(
            PYTHONPATH=os.pathsep.join([str(root), str(root / "src")]),
            PYTHONDONTWRITEBYTECODE="1",  # two candidates of one second and size would share what was compiled
        )
        environment.pop("PYTHONSAFEPATH", None)
        command = [str(program or words[0]), *words[1:]]
        return await run(command, folder=root, environment=environment, limit_s=limit_s)


def nearest(path: Path, folder: Path) -> str | None:
    """The test file that is named after `path` and lies closest to it, relative to `folder`; None if there is none."""
    if not path.is_relative_to(folder):
        return None
    parts = {"stem": path.stem, "ending": path.suffix, "folder": path.parent.name}
    names = [name.format(**parts) for name in _NAMES]
    if any(mark in path.stem.lower() for mark in ("test_", "_test", ".test", ".spec")):
        return path.relative_to(folder).as_posix()
    for above in (path.parent, *path.parents):
        if not above.is_relative_to(folder):
            break
        for place in (above, above / "tests", above / "test", above / "__tests__", above / "spec"):
            for name in names:
                found = next(iter(sorted(place.glob(f"**/{name}"))), None) if place != above else place / name
                if found is not None and found.is_file():
                    return found.relative_to(folder).as_posix()
    return None
