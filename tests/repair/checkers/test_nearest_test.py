"""The nearest test is found by its name, run on a copy, and only where the folder is trusted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from coderls.document import Document
from coderls.repair.candidate import Candidate
from coderls.repair.checkers import Step, find_checkers, of_language
from coderls.repair.checkers.nearest_test import NearestTest, nearest
from coderls.repair.checkers.surroundings import Surroundings
from coderls.repair.diagnostic import Diagnostic
from coderls.repair.verify import Baseline, verify
from coderls.repo_context.parse import parse_file

COMMAND = f"{Path(sys.executable).as_posix()} {{test}}"
GOOD, BAD = "def half(n):\n    return n / 2\n", "def half(n):\n    return n / tow\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    test = "from halves import half\nassert half(4) == 2, half(4)\n"
    (tmp_path / "tests" / "unit" / "test_halves.py").write_text(test, encoding="utf-8")
    (tmp_path / "halves.py").write_text(GOOD, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "test"),
    [
        ("halves.py", "tests/unit/test_halves.py"),
        ("src/pkg/halves.py", "tests/unit/test_halves.py"),
        ("tests/unit/test_halves.py", "tests/unit/test_halves.py"),
        ("other.py", None),
        ("../outside.py", None),
    ],
)
def test_the_nearest_test(project: Path, path: str, test: str | None) -> None:
    assert nearest((project / path).resolve(), project.resolve()) == test


async def test_a_repair_that_breaks_the_test_is_refused(project: Path) -> None:
    path = project / "halves.py"
    document = Document(path.as_uri(), "python", 1, BAD, path)
    found = find_checkers(project, trusted=True, parse=parse_file, test_command=COMMAND)
    checkers = [one for one in of_language(found, "python") if one.name in ("parse", "ruff", "tests")]
    assert checkers[-1].step is Step.TESTS
    start = BAD.index("tow")
    target = Diagnostic(start, start + 3, "Undefined name `tow`", rule="F821")
    mended = {
        new: await verify(
            Baseline(document), target, Candidate.of_text(BAD, BAD.replace("tow", new), "rule", "t"), checkers
        )
        for new in ("2", "0.5")
    }
    passing = Document(path.as_uri(), "python", 1, GOOD, path)
    worse = Candidate.of_text(GOOD, GOOD.replace("2", "3"), "rule", "t")
    broken = await verify(Baseline(passing), Diagnostic(0, 0, "x", rule="y"), worse, checkers)
    for checker in found:
        await checker.aclose()
    assert mended["2"].accepted
    assert "tests" in mended["2"].checked_by
    assert mended["0.5"].accepted  # the test failed before, and goes on failing: no new complaint
    assert broken.reason == "tests has a new complaint: the test fails"
    assert path.read_text(encoding="utf-8") == GOOD


async def test_without_trust_no_test_is_run(project: Path) -> None:
    found = find_checkers(project, trusted=False, parse=parse_file, test_command=COMMAND)
    assert not any(isinstance(one, NearestTest) for one in found)


async def test_a_file_without_a_test_and_a_command_that_is_none(project: Path) -> None:
    path = project / "other.py"
    document = Document(path.as_uri(), "python", 1, "x = 1\n", path)
    for command, said in ((COMMAND, "no test is named after other.py"), ("no-such-program-here", "names no program")):
        checker = NearestTest(command, Surroundings.of(project, trusted=True))
        report = await checker.check(document)
        await checker.aclose()
        assert said in (report.failed or "")
