"""Repairs on DebugBench: does the verifier know right from wrong, and how much is repaired?

    python -m benchmarks.repair debugbench_python_dev.json.gz [--every N | --sample N --seed S]
        [--right | --lists | --with rules|guesses|model] [--json FILE]

The file has items with a `buggy` and a right form (`oracle`) of a small Python program, and the settings of pyright
under which the buggy form has errors and the right one none. The complaint to mend is pyright's first error.

The verifier alone gets, for each item, the right form (with and without the guards about nearness and deletion), the
text as it is, the text without the complained line, with that line commented out, and with two kinds of suppression.

`--right` judges the right forms only. `--lists` measures how soon a server answers a request for code actions.

`--with rules` looks for repairs by checkers' fixes and common slips; `--with guesses` also takes the first guessed name
where nothing else was found, as somebody would who trusts them; `--with model` asks the embedded model instead. A
program is repaired when all of pyright's errors are gone by proved repairs, one after the other; what comes out is
checked by pyright once more, in a process that has not seen it before. Equal means equal to the right form by tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.machine import describe
from benchmarks.repair_lists import list_times
from coderls.document import Document
from coderls.errors import CheckerFailed
from coderls.question import load_fim_model
from coderls.repair.candidate import Candidate
from coderls.repair.checkers import Checker, find_checkers, of_language
from coderls.repair.checkers.pyright import Pyright
from coderls.repair.diagnostic import Diagnostic, Severity
from coderls.repair.guards import Rules, objection
from coderls.repair.infill import Filler
from coderls.repair.pipeline import repair
from coderls.repair.sources import of_checkers, of_guesses, of_infill, of_slips, of_syntax
from coderls.repair.verify import Baseline, verify
from coderls.repo_context.parse import parse_file
from coderls.session.heavy import connect
from coderls.settings import EngineSettings

#: Rules about style that right forms of this data break; star imports are how its programs get their names.
RUFF = 'lint.select = ["E9", "F"]\nlint.ignore = ["F401", "F403", "F405"]\n'
RIGHT = "right form"
#: Repairs of one program, at most.
MOST_ACTIONS = 8
USED = ("parse", "ruff", "pyright")


@dataclass(frozen=True, slots=True)
class Item:
    """One program: its text with a fault, the right one, and where the program begins behind the preamble."""

    name: str
    buggy: str
    oracle: str
    start: int


@dataclass
class Tally:
    """What the verifier said of one kind of candidate."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str]] = field(default_factory=list)

    @property
    def all(self) -> int:
        return self.accepted + self.refused.total()

    def count(self, item: Item, accepted: bool, reason: str, *, right: bool) -> None:
        """One more; what is unexpected is kept with the item's name."""
        self.accepted += accepted
        if not accepted:
            self.refused[kind_of(reason)] += 1
        if accepted != right:
            self.examples.append((item.name, reason))

    def row(self) -> dict[str, Any]:
        """For the report."""
        share = self.accepted / self.all if self.all else 0.0
        return {"accepted": self.accepted, "of": self.all, "share": round(share, 4), "refused": dict(self.refused)}


def load(path: Path, every: int = 1, sample: int = 0, seed: int = 0) -> tuple[list[Item], str]:
    """The items (each Nth, or a sample of so many), and the settings for pyright that the file names."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        data = json.load(file)
    head = data["preamble"]
    rows = data["items"][::every]
    if sample:
        rows = random.Random(seed).sample(rows, min(sample, len(rows)))
    items = [Item(row["id"], head + row["buggy"], head + row["oracle"].rstrip() + "\n", len(head)) for row in rows]
    return items, json.dumps(data["pyright"])


def wrong_forms(document: Document, target: Diagnostic) -> dict[str, str]:
    """Texts that silence a checker and repair nothing."""
    start, end = document.line_span(document.line_of(target.start))
    text, line = document.text, document.text[start:end]
    indent = line[: len(line) - len(line.lstrip())]
    return {
        "no-op": text,
        "deletion": text[:start] + text[end + 1 :],
        "replaced by pass": f"{text[:start]}{indent}pass{text[end:]}",
        "commented out": f"{text[:start]}{indent}# {line.lstrip()}{text[end:]}",
        "noqa": f"{text[:end]}  # noqa{text[end:]}",
        "type: ignore": f"{text[:end]}  # type: ignore{text[end:]}",
    }


async def judge_items(
    items: Sequence[Item], checkers: Sequence[Checker], folder: Path, *, right_only: bool = False
) -> dict[str, Any]:
    """The verifier alone."""
    tallies: dict[str, Tally] = {}
    cheap: list[float] = []
    pyright: list[float] = []
    unclear = 0
    *first, types = checkers
    for item in tqdm(items, file=sys.stderr):
        path = folder / "item.py"
        document = Document(path.as_uri(), "python", 1, item.buggy, path)
        baseline = Baseline(document)
        began = time.perf_counter()
        for checker in first:
            await baseline.report(checker)
        cheap.append(time.perf_counter() - began)
        report = await baseline.report(types)
        pyright.append(report.took_s)
        errors = [one for one in report.diagnostics if one.severity is Severity.ERROR and one.start >= item.start]
        if not errors:
            unclear += 1
            continue
        target = min(errors, key=lambda one: one.start)
        wrong = {} if right_only else wrong_forms(document, target)
        for kind, text in ({RIGHT: item.oracle} | wrong).items():
            candidate = Candidate.of_text(item.buggy, text, "chat", kind)
            rules = Rules(near=False, keep=False) if kind == RIGHT else Rules()
            verdict = await verify(baseline, target, candidate, checkers, rules=rules)
            tallies.setdefault(kind, Tally()).count(item, verdict.accepted, verdict.reason, right=kind == RIGHT)
            if kind == RIGHT:
                guarded = objection(document, target, candidate, Rules())
                tally = tallies.setdefault(f"{kind}, with the guards", Tally())
                tally.count(item, verdict.accepted and not guarded, guarded or verdict.reason, right=True)
    return {
        "items": len(items),
        "without an error of pyright": unclear,
        "verifier": {kind: tally.row() for kind, tally in tallies.items()},
        "unexpected": {kind: tally.examples for kind, tally in tallies.items() if tally.examples},
        "parse and ruff, ms": spread(cheap),
        "pyright warm, ms": spread(pyright[1:]),
    }


def kind_of(reason: str) -> str:
    """The reason without the names and numbers in it."""
    return re.sub(r"\d+", "N", reason.partition(":")[0])


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return {"p50": round(statistics.median(ordered) * 1000, 1), "p95": round(high * 1000, 1)}


def prepared(place: Path, pyright: str) -> Path:
    """The folder with the checkers' settings in it."""
    folder = place.resolve()
    (folder / "pyrightconfig.json").write_text(pyright, encoding="utf-8")
    (folder / "ruff.toml").write_text(RUFF, encoding="utf-8")
    return folder


@dataclass
class Attempt:
    """What became of one program."""

    actions: list[float] = field(default_factory=list)
    repaired_first: bool = False
    guessed: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    text: str = ""
    errors_left: int = -1


async def repair_items(
    items: Sequence[Item], checkers: Sequence[Checker], folder: Path, sources: str
) -> dict[str, Any]:
    """Repairs of whole programs, complaint by complaint."""
    *_, types = checkers
    filler: Filler | None = None
    client = None
    if sources == "model":
        client, health = await connect(EngineSettings(threads=2), lambda _text, _fraction: None)
        filler = Filler(client, load_fim_model(health))
    try:
        guesses = sources == "guesses"
        attempts = [
            (item, await attempt(item, checkers, folder, filler, guesses=guesses))
            for item in tqdm(items, file=sys.stderr)
        ]
    finally:
        if client is not None:
            await client.aclose()
    fresh = Pyright(types.program, types.surroundings) if isinstance(types, Pyright) else types
    wrong: list[str] = []
    try:
        for item, one in attempts:
            left = await errors_of(item, one.text, fresh, folder)
            before = await errors_of(item, item.buggy, fresh, folder)
            if one.text != item.buggy and not len(left) < len(before):
                wrong.append(item.name)
    finally:
        await fresh.aclose()
    return summary(attempts, wrong)


def summary(attempts: Sequence[tuple[Item, Attempt]], wrong: Sequence[str]) -> dict[str, Any]:
    """The numbers."""
    actions = [seconds for _, one in attempts for seconds in one.actions]
    firsts = [one.actions[0] for _, one in attempts if one.actions]
    whole = [(item, one) for item, one in attempts if one.errors_left == 0]
    tried: Counter[str] = Counter()
    for _, one in attempts:
        tried.update(one.tried)
    return {
        "programs": len(attempts),
        "first complaint repaired": of_all(sum(one.repaired_first for _, one in attempts), attempts),
        "all complaints repaired": of_all(len(whole), attempts),
        "equal to the right form": of_all(
            sum(item.oracle.split() == one.text.split() for item, one in whole), attempts
        ),
        "repaired with a guessed name": of_all(sum(one.guessed > 0 for _, one in whole), attempts),
        "offered as verified, but not so by a fresh pyright": list(wrong),
        "candidates tried": dict(tried),
        "an action, ms": spread(actions),
        "the first action of a program, ms": spread(firsts),
    }


def of_all(count: int, attempts: Sequence[Any]) -> str:
    """A count with its share of all programs."""
    return f"{count} ({100 * count / len(attempts):.0f}%)" if attempts else "0"


async def attempt(
    item: Item, checkers: Sequence[Checker], folder: Path, filler: Filler | None, *, guesses: bool = False
) -> Attempt:
    """Repair one complaint after the other, until none is left or one cannot be repaired."""
    one = Attempt(text=item.buggy)
    *_, types = checkers
    for number in range(MOST_ACTIONS):
        errors = await errors_of(item, one.text, types, folder)
        one.errors_left = len(errors)
        if not errors:
            break
        document = Document((folder / "item.py").as_uri(), "python", 1, one.text, folder / "item.py")
        baseline, target = Baseline(document), errors[0]
        some = [of_checkers(baseline, target, checkers), of_syntax(document, target, parse_file)]
        some += [of_slips(document, target, baseline)]
        some += of_infill(filler, document, target) if filler is not None else []
        some += [of_guesses(document, target)] if guesses else []
        began = time.perf_counter()
        outcome = await repair(document, target, checkers=checkers, sources=some, baseline=baseline)
        one.actions.append(time.perf_counter() - began)
        one.tried.update(dict(outcome.tried))
        proved = outcome.repairs or outcome.guesses
        if not proved:
            break
        one.guessed += not outcome.repairs
        one.repaired_first = one.repaired_first or number == 0
        one.text = proved[0].candidate.text
    return one


async def errors_of(item: Item, text: str, types: Checker, folder: Path) -> list[Diagnostic]:
    """Pyright's errors in the program, the first one first."""
    path = folder / "item.py"
    report = await types.check(Document(path.as_uri(), "python", 1, text, path))
    if report.failed:
        raise CheckerFailed(report.failed)
    errors = [each for each in report.diagnostics if each.severity is Severity.ERROR and each.start >= item.start]
    return sorted(errors, key=lambda each: each.start)


async def lists(items: Sequence[Item], types: Checker, folder: Path) -> dict[str, Any]:
    """How soon the list of actions for each program's first complaint is there."""
    complaints = []
    for item in tqdm(items, file=sys.stderr):
        document = Document((folder / "item.py").as_uri(), "python", 1, item.buggy, folder / "item.py")
        errors = await errors_of(item, item.buggy, types, folder)
        complaints += [(document, errors[0])] if errors else []
    first, others = await asyncio.to_thread(list_times, complaints, folder)
    return {"lists": len(complaints), "the first after a start, ms": round(first * 1000, 1), "list, ms": spread(others)}


async def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All that was asked for."""
    items, pyright = load(args.file, args.every, args.sample, args.seed)
    with tempfile.TemporaryDirectory(prefix="coderls-repair-") as place:
        folder = prepared(Path(place), pyright)
        found = of_language(find_checkers(folder, trusted=False, parse=parse_file), "python")
        checkers = [checker for checker in found if checker.name in USED]
        if len(checkers) != len(USED):
            raise CheckerFailed(f"Needed on PATH: {', '.join(USED)}.", "Run python -m devtools.checker_tools.")
        try:
            if args.sources:
                return await repair_items(items, checkers, folder, args.sources)
            if args.lists:
                return await lists(items, checkers[-1], folder)
            return await judge_items(items, checkers, folder, right_only=args.right)
        finally:
            for checker in found:
                await checker.aclose()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--every", type=int, default=1, help="only each Nth item")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="only N items, drawn")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--right", action="store_true", help="judge the right forms only")
    what.add_argument("--lists", action="store_true", help="how soon is the list of actions there")
    what.add_argument("--with", dest="sources", choices=("rules", "guesses", "model"), help="look for repairs")
    parser.add_argument("--json", type=Path, help="write the numbers to this file as well")
    args = parser.parse_args()
    report = {"machine": str(describe(("coderls", "ruff"))), **asyncio.run(measure(args))}
    print(json.dumps(report, indent=1, ensure_ascii=False))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
