"""What every checker is: it takes a document as the editor has it, and answers with a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from coderls.document import Document, Edit
from coderls.repair.diagnostic import Diagnostic


class Step(IntEnum):
    """When a checker is asked: the cheap ones first."""

    PARSE = 0
    LINT = 1
    TYPES = 2
    TESTS = 3


@dataclass(frozen=True, slots=True)
class Fix:
    """What a checker itself offers against one of its diagnostics: edits of the text that it checked.

    `safe` is the checker's own word for "this keeps the meaning".
    """

    diagnostic: Diagnostic
    edits: tuple[Edit, ...]
    title: str
    safe: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What a checker said of one text.

    `failed` is a sentence for the user when it could not say anything (it hangs, crashed, or printed what nobody
    understands): then `diagnostics` is empty and proves nothing. `blind` is set where it stopped at a syntax error and
    so has not looked at the rest. `faults` counts the syntax errors, and not what else it found: where they are fewer,
    it may see more.
    """

    checker: str
    diagnostics: tuple[Diagnostic, ...] = ()
    fixes: tuple[Fix, ...] = ()
    took_s: float = 0.0
    failed: str | None = None
    blind: bool = False
    faults: int = 0


class Checker(Protocol):
    """One checker that is there for one workspace folder. Made by `coderls.repair.checkers.find_checkers`."""

    @property
    def name(self) -> str:
        """As its users call it: `ruff`, `pyright`, `gcc`."""

    @property
    def version_of(self) -> str:
        """Where it was found, for evidence and for doctor: `ruff of the project's .venv`, `/usr/bin/gcc`."""

    @property
    def languages(self) -> frozenset[str]:
        """LSP language ids that it checks."""

    @property
    def step(self) -> Step:
        """When it is asked."""

    async def check(self, document: Document, *, limit_s: float = 30.0, others: Sequence[Document] = ()) -> Report:
        """Its word on this text, whatever lies on disk. Never raises for a checker that misbehaves: see `failed`.

        `others` are open documents whose text is not the one on disk: who reads more than one file sees them so.
        Cancelling the task kills what was started.
        """

    async def aclose(self) -> None:
        """Stop what it keeps warm."""
