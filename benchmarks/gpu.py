"""The engine on a graphics card, in true shapes of the family with random weights; `benchmarks/gpu.sh` does it all.

    python -m benchmarks.gpu [--sizes 7B 1.5B 0.5B 14B] [--forms bfloat16 int8 int4] [--json FILE] [--markdown FILE]
    python -m benchmarks.gpu --json FILE --limit-s 500     # stops in time; the same again goes on where it stopped
    python -m benchmarks.gpu --sizes tiny --contexts 64 256 --device cpu     # the same at small size, without a card

The ceilings of the device (copy, product) and transformers' generate are measured on the same device. The floor of a
decoding step is the time in which the device copies as many bytes as the step has to read; that of a prefill the time
of as many operations in one large product.

Each part runs in a process of its own, and what it found so far is kept after each measure. Exit code 3: some are left.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.gpu_measure import Ceiling
from benchmarks.gpu_parts import BITS, Conditions, Part
from benchmarks.gpu_report import Done, Report, markdown, read_report
from coderls.engine.model.torch_runner import load_runner
from coderls.errors import CoderlsError

CONTEXTS = (512, 4096, 32_768, 131_072)
PARTS_LEFT = 3


def parts_of(options: argparse.Namespace) -> list[Part]:
    """What is to be measured, the weightiest first: a run may end at any moment."""
    parts: list[Part] = []
    for size in options.sizes:
        parts += [Part("ours", size, form) for form in options.forms]
        if not options.no_transformers:
            parts += [Part("transformers", size, cache) for cache in ("dynamic", "static")]
    parts.append(Part("start", "1.5B" if "1.5B" in options.sizes else options.sizes[0]))
    parts += [Part("ours", size, options.forms[0], kv) for size in options.sizes for kv in options.kv_caches]
    return parts


def run_apart(part: Part, conditions: Conditions, top: Ceiling | None, limit_s: float) -> Done:
    """Measure a part in a process of its own that may take `limit_s` seconds. Never raises: what failed is said."""
    print(f"-- {part.name}", file=sys.stderr, flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        asked, said = Path(folder) / "part.json", Path(folder) / "found.json"
        values = {"part": asdict(part), "conditions": asdict(conditions), "ceiling": top and asdict(top)}
        asked.write_text(json.dumps(values), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.gpu", "--part", str(asked), "--found", str(said)]
        failed = ""
        try:
            done = subprocess.run(command, timeout=limit_s, check=False, stdin=subprocess.DEVNULL)
            if done.returncode:
                failed = f"its process left with code {done.returncode}"
        except subprocess.TimeoutExpired:
            failed = f"it was not over after {limit_s:.0f} s"
        found: dict[str, Any] = json.loads(said.read_text(encoding="utf-8")) if said.exists() else {}
    failed = found.pop("failed", "") or failed
    if failed:
        print(f"{part.name}: {failed}", file=sys.stderr, flush=True)
    return Done(found, failed, round(time.monotonic() - began, 1))


def run_here(asked: Path, said: Path) -> int:
    """The inside of `run_apart`: measure the part that `asked` names, and keep what is found in `said`."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    values = json.loads(asked.read_text(encoding="utf-8"))
    conditions = Conditions(**{**values["conditions"], "contexts": tuple(values["conditions"]["contexts"])})
    top = Ceiling(**values["ceiling"]) if values["ceiling"] else None
    kept: dict[str, Any] = {}

    def note(found: dict[str, Any]) -> None:
        kept.update(found)
        beside = said.with_name("new.json")
        beside.write_text(json.dumps(kept), encoding="utf-8")
        os.replace(beside, said)

    try:
        Part(**values["part"]).run(conditions, top, note)
    except Exception as error:
        logging.getLogger(__name__).exception("It failed")
        note({"failed": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"})
        return 1
    return 0


def measure_all(options: argparse.Namespace) -> int:
    """Run the parts that are not done yet, as long as there is time; returns how many are left."""
    until = time.monotonic() + (options.limit_s or 1e9)
    conditions = Conditions(tuple(options.contexts), options.repeats, options.device, options.dtype)
    report = _begun(options, conditions)
    parts = parts_of(options)
    left = [part for part in parts if report.wants(part.name)]
    left.sort(key=lambda part: report.tries(part.name))
    while left and report.ceiling is not None:
        part, rest_s = left[0], until - time.monotonic()
        like = [one.name for one in parts if one.kind == part.kind]
        expected_s = max([options.least_s, *(report.done[name].seconds for name in like if name in report.done)])
        if options.limit_s and rest_s < min(expected_s, options.part_s):
            print(f"{len(left)} parts are left; the next is {part.name}", file=sys.stderr, flush=True)
            break
        report.take(part.name, run_apart(part, conditions, report.ceiling, min(options.part_s, rest_s)))
        report.done = {one.name: report.done[one.name] for one in parts if one.name in report.done}
        _write(report, options)
        left = left[1:]
    print(markdown(report))
    return len(left)


def _begun(options: argparse.Namespace, conditions: Conditions) -> Report:
    """The report that is gone on with, and what the device can do now: without a device nothing can be measured.

    What was measured under other conditions or on another device is put aside.
    """
    report = Report(" ".join(["python -m benchmarks.gpu", *sys.argv[1:]]), json.loads(json.dumps(asdict(conditions))))
    done = run_apart(Part("ceiling", options.sizes[0]), conditions, None, options.part_s)
    report.where = done.found.get("where", {})
    report.ceiling = Ceiling(**done.found["ceiling"]) if "ceiling" in done.found else None
    before = read_report(options.json) if options.json else None
    if before is not None and (before.conditions, before.where.get("device")) == (
        report.conditions,
        report.where.get("device", before.where.get("device")),
    ):
        report.done = before.done
    elif options.json and options.json.exists():
        os.replace(options.json, options.json.with_name(f"{options.json.name}.{int(time.time())}"))
    return report


def _write(report: Report, options: argparse.Namespace) -> None:
    if options.json:
        report.write(options.json)
    if options.markdown:
        options.markdown.write_text(markdown(report) + "\n", encoding="utf-8")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=["7B", "1.5B", "0.5B", "14B"], help="of the family, or tiny")
    parser.add_argument("--forms", nargs="+", default=list(BITS), choices=list(BITS))
    parser.add_argument(
        "--kv-caches", nargs="*", default=["int8", "fp8"], help="forms of the KV cache, each with the first of --forms"
    )
    parser.add_argument("--contexts", type=int, nargs="+", default=list(CONTEXTS), metavar="TOKENS")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--no-transformers", action="store_true")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="kept after each part; gone on with where it is there"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--limit-s", type=float, default=0.0, help="stop after so many seconds (0: when all is done)")
    parser.add_argument("--part-s", type=float, default=300.0, help="the most that one part may take")
    parser.add_argument("--least-s", type=float, default=40.0, help="no part is begun with less time left")
    for inner in ("--load", "--part", "--found"):  # for processes that this one starts
        parser.add_argument(inner, type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    options = _arguments(argv)
    if options.part:
        return run_here(options.part, options.found)
    try:
        if options.load:
            load_runner(options.load, name="start", device=options.device, dtype=options.dtype).close()
            return 0
        return PARTS_LEFT if measure_all(options) else 0
    except CoderlsError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
