"""Syntax errors by a language's own parser, where the user has one.

tree-sitter's grammars let pass what compilers do not. The parser runs as a process that reads its standard input: for
parsing only, from the root of the disk, where no file of the project can configure it, with an environment of few
variables, and never a program that lies in an untrusted workspace. Nothing of the project is run. It has a fraction of
a second; when that is over the word of tree-sitter stands.

| language | program | how |
| --- | --- | --- |
| Rust | rustc | `-Zparse-crate-root-only` (rustc dev guide: the parser alone, no macro is expanded) |
| Go | gofmt | `-e`: all errors |
| C, C++ | clang, gcc | `-fsyntax-only`, where the headers are found beside the file or in a folder `include` above it |
| JavaScript | node | `vm.SourceTextModule`: a module is compiled and not evaluated; `vm.Script` for what is none |
| TypeScript, JSX | node | the parser of the package `typescript` before version 7: `parseDiagnostics` of a source |
| Java | java | `JavacTask.parse`: javac's parser alone (from version 11 on) |
| Ruby, PHP | ruby, php | `-c`, `-l` |
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path

from coderls.document import Document
from coderls.errors import CheckerFailed
from coderls.own_parsers.processes import NotYet, Processes
from coderls.own_parsers.rows import Once, row_of
from coderls.repair.checkers.process import run
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repair.checkers.typescript import packages_of

#: Nobody waits longer for a parser (seconds).
LIMIT_S = 0.4
#: One that is late so often in a row is left alone for a while: the machine is busy, or the program does not work here.
_LATE = 3
_RESTS_S = 60.0
_KNOWN = 64
#: Longer texts are not sent (characters).
_LONGEST = 400_000

__all__ = ["LIMIT_S", "OwnParsers", "Processes"]

_Key = tuple[str, Path | None, bytes]


class OwnParsers:
    """The parsers for files of one workspace folder (None: of no folder), and what they said lately.

    `trusted`: whether the folder's own TypeScript may be used. `processes` are shared by all folders of a session.
    """

    def __init__(
        self,
        folder: Path | None,
        processes: Processes | None = None,
        *,
        limit_s: float = LIMIT_S,
        trusted: bool = False,
    ) -> None:
        self._surroundings = Surroundings.of(folder, trusted=False)
        self._typescripts = Surroundings.of(folder, trusted=trusted)
        self._processes = processes or Processes()
        self._limit_s = limit_s
        self._programs: dict[str, tuple[Path, Path | None] | None] = {}
        self._said: OrderedDict[_Key, int | None] = OrderedDict()
        self._asked: dict[_Key, _Asked] = {}
        self._late = 0
        self._rests_until = float("-inf")

    def name_of(self, language_id: str) -> str:
        """The program that is asked about a language; "" for none."""
        program = self._program(language_id)
        return "" if program is None else program[0].stem

    async def faults(self, document: Document, text: str) -> int | None:
        """Syntax errors of `text`, as a version of `document`; None where nobody can tell, or not in time.

        What was asked before is known, and what is being asked is asked once. Cancelling ends the program.
        """
        key = document.language_id, document.path, blake2b(text.encode("utf-8", "surrogatepass")).digest()
        if key in self._said:
            self._said.move_to_end(key)
            return self._said[key]
        if self._program(document.language_id) is None or len(text) > _LONGEST or time.monotonic() < self._rests_until:
            return None
        asked = self._asked.get(key)
        if asked is None or asked.over:
            asked = self._asked[key] = _Asked(asyncio.ensure_future(self._find(key, document, text)))
        try:
            return await asked.answer()
        finally:
            if asked.over and self._asked.get(key) is asked:
                del self._asked[key]

    def more(self, document: Document, before: int | None, after: int | None) -> bool:
        """Whether a text with `after` errors is worse than the one of before, as far as this parser can tell."""
        row = row_of(document.language_id)
        if row is None or before is None or after is None or (row.first_only and before):
            return False
        return after > before

    async def _find(self, key: _Key, document: Document, text: str) -> int | None:
        try:
            found = await self._ask(document, text)
        except NotYet:
            return None
        except CheckerFailed:
            self._late += 1
            if self._late >= _LATE:
                self._late, self._rests_until = 0, time.monotonic() + _RESTS_S
            return None
        except (ValueError, AttributeError, OSError):  # it printed something else than it should; a path too long
            found = None
        self._late = 0
        self._said[key] = found
        while len(self._said) > _KNOWN:
            self._said.popitem(last=False)
        return found

    async def _ask(self, document: Document, text: str) -> int | None:
        row, there = row_of(document.language_id), self._program(document.language_id)
        if row is None or there is None:
            return None
        program, package = there
        environment = self._surroundings.environment()
        if not isinstance(row, Once):
            kind = row.kinds[document.language_id]
            return await self._processes.found(row.command(program, package), environment, kind, text, self._limit_s)
        async with self._processes.turns:
            done = await run(
                row.command(program, document),
                folder=Path(program.anchor),
                environment=environment | dict(row.environment),
                limit_s=self._limit_s,
                text=row.asked(text),
                memory_kib=row.memory_kib,
            )
        return row.read(done)

    def _program(self, language_id: str) -> tuple[Path, Path | None] | None:
        """The program for a language, with TypeScript's own file where that is needed; None where it is not there."""
        if language_id not in self._programs:
            self._programs[language_id] = self._found(language_id)
        return self._programs[language_id]

    def _found(self, language_id: str) -> tuple[Path, Path | None] | None:
        row = row_of(language_id)
        program = None if row is None else self._surroundings.find(*row.programs)
        if program is None or isinstance(row, Once) or row is None or not row.typescript:
            return None if program is None else (program, None)
        package = self._typescript()
        return None if package is None else (program, package)

    def _typescript(self) -> Path | None:
        """`typescript.js` of the package that `tsc` belongs to."""
        compiler = self._typescripts.find("tsc")
        packages = () if compiler is None else packages_of(compiler, self._typescripts)
        files = (package / "lib" / "typescript.js" for package in packages)
        return next((file for file in files if file.is_file()), None)


class _Asked:
    """A question on its way. It ends when nobody waits for its answer any more."""

    def __init__(self, task: asyncio.Task[int | None]) -> None:
        self._task = task
        self._waiting = 0

    @property
    def over(self) -> bool:
        """Whether nobody can wait for it any more."""
        return self._task.done() or not self._waiting

    async def answer(self) -> int | None:
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._task.done():
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
