"""What the checkers that are a program share: they fail with a sentence, and only ever within their `check`."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from coderls.document import Document
from coderls.errors import CheckerFailed
from coderls.repair.checkers.checker import Report, Step
from coderls.repair.checkers.process import Done, run
from coderls.repair.checkers.surroundings import Surroundings


class CommandChecker(ABC):
    """A checker that is a program, at `program`."""

    name: ClassVar[str]
    languages: ClassVar[frozenset[str]]
    step: ClassVar[Step]

    def __init__(self, program: Path, surroundings: Surroundings) -> None:
        self.program = program
        self.surroundings = surroundings

    @property
    def version_of(self) -> str:
        """Where it was found."""
        return self.surroundings.said(self.program)

    async def check(self, document: Document, *, limit_s: float = 30.0, others: Sequence[Document] = ()) -> Report:
        """See `Checker.check`."""
        began = time.perf_counter()
        mine = [one for one in others if one.path is not None and one.path != document.path]
        try:
            report = await self.ask(document, limit_s, mine)
        except CheckerFailed as error:
            report = Report(self.name, failed=str(error))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:  # JSON of another shape
            report = Report(self.name, failed=f"{self.name} answered in a form that is not understood ({error!r}).")
        except OSError as error:  # a path that no disk can have, a folder that may not be looked into, no space
            report = Report(self.name, failed=f"{self.name} could not be asked: {error.strerror or error}.")
        return replace(report, took_s=time.perf_counter() - began)

    async def aclose(self) -> None:
        """Stop what is kept warm: nothing, of most."""
        return None

    @abstractmethod
    async def ask(self, document: Document, limit_s: float, others: Sequence[Document]) -> Report:
        """The report; `others` have a path, and it is not the document's.

        Raises CheckerFailed, or what comes of reading an answer of another form than expected.
        """

    async def run(self, arguments: list[str], document: Document, limit_s: float, **environment: str) -> Done:
        """Run the program next to the document with its text on standard input. Raises CheckerFailed."""
        return await run(
            [str(self.program), *arguments],
            folder=home_of(document, self.surroundings),
            environment=self.surroundings.environment(**environment),
            limit_s=limit_s,
            text=document.text,
        )


def home_of(document: Document, surroundings: Surroundings) -> Path:
    """The folder to run in: the workspace folder, else the document's own, else the root of the disk."""
    places = [surroundings.folder, document.path.parent if document.path else None]
    known = next((place for place in places if place is not None and place.is_dir()), None)
    return known or Path(Path(sys.executable).anchor)  # not our own current folder: it may be gone


def parsed(name: str, done: Done, text: str | None = None) -> Any:
    """The JSON that a program printed. Raises CheckerFailed with its last words when it is none."""
    try:
        return json.loads(done.stdout if text is None else text)
    except (ValueError, RecursionError) as error:
        said = done.last_words or "nothing"
        raise CheckerFailed(f"{name} ended with code {done.code} and no report; it said: {said}") from error
