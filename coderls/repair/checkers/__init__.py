"""Which checkers there are for a folder. What was found is kept by the caller, who also closes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coderls.document import ParseFile
from coderls.repair.checkers.checker import Checker, Fix, Report, Step
from coderls.repair.checkers.nearest_test import NearestTest
from coderls.repair.checkers.parse import ParseChecker
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repair.checkers.table import TABLE

__all__ = ["Checker", "Fix", "Report", "Step", "find_checkers", "not_found", "of_language", "only_trusted"]

#: LSP language ids that coderls has a grammar for.
PARSED = frozenset(
    {
        *("python", "typescript", "typescriptreact", "javascript", "javascriptreact", "go", "rust", "java"),
        *("c", "cpp", "csharp", "php", "ruby"),
    }
)


def find_checkers(
    folder: Path | None, *, trusted: bool, parse: ParseFile, test_command: str = ""
) -> tuple[Checker, ...]:
    """The checkers that can be used for files of a workspace folder, cheapest first.

    In a trusted folder the project's own environment is looked into first. In an untrusted one, and for a file
    outside of any folder (`folder` None), only programs that lie elsewhere are used, and none that would run code of
    the project. Looks at the disk and starts nothing; a checker starts its program when it is first asked.
    `test_command` is the user's; in an untrusted folder it is not used.
    """
    surroundings = Surroundings.of(folder, trusted=trusted)
    found: list[Checker] = [ParseChecker(parse, PARSED)]
    for row in TABLE:
        program = surroundings.find(*row.programs)
        if program is None or (row.needs_trust and not surroundings.trusted):
            continue
        if row.wanted(folder, frozenset(one.name for one in found)):
            found.append(row.kind(program, surroundings))
    if test_command and folder is not None and surroundings.trusted:
        found.append(NearestTest(test_command, surroundings))
    return tuple(found)


def not_found(folder: Path | None, *, trusted: bool, language_id: str = "") -> tuple[str, ...]:
    """The names of checkers that the folder wants for a language ("": for any), and that are nowhere to be found."""
    surroundings, all_there = (Surroundings.of(folder, trusted=each) for each in (trusted, True))
    there: set[str] = set()
    missing: list[str] = []
    for row in TABLE:
        usable = surroundings.trusted or not row.needs_trust
        if surroundings.find(*row.programs) is not None:
            there.add(row.kind.name)
        elif all_there.find(*row.programs) is not None:
            continue  # in the project's own environment: see `only_trusted`
        elif usable and (not language_id or language_id in row.kind.languages) and row.wanted(folder, frozenset(there)):
            missing.append(row.kind.name)
    return tuple(missing)


def only_trusted(folder: Path, language_id: str = "") -> tuple[str, ...]:
    """The names of checkers of a language ("": of any) that are there for a folder, and would be asked if it were
    trusted: they run code of the project, or lie in its own environment."""
    outside, all_there = (Surroundings.of(folder, trusted=each) for each in (False, True))
    rows = (row for row in TABLE if not language_id or language_id in row.kind.languages)
    return tuple(
        row.kind.name
        for row in rows
        if (row.needs_trust or outside.find(*row.programs) is None)
        and all_there.find(*row.programs) is not None
        and row.wanted(folder, frozenset())
    )


def of_language(checkers: Sequence[Checker], language_id: str) -> tuple[Checker, ...]:
    """Those that check this language, cheapest first; tests are of any language."""
    some = (one for one in checkers if language_id in one.languages or one.step is Step.TESTS)
    return tuple(sorted(some, key=lambda one: one.step))
