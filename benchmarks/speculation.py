"""Guessed tokens on and off, in turns, on the same prompts: is any answer slower with them?

    python -m benchmarks.speculation [MODEL] [--prompts N] [--new TOKENS] [--json FILE]

Two engines of the same model stand side by side; each prompt (the end of a piece of httpx's own sources) is run by the
one and then by the other, the next prompt the other way round. "cold": nothing like it was said before. "again": the
same prompt a second time, as after going back in the text. The ratio is that of one prompt's two times of decoding; the
prompt is read before, so that the first tokens, which may be several, count and its prefill does not.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.machine import Machine, describe, percentile, wait_for_idle
from coderls.engine.api import Chunk, GenerationRequest
from coderls.engine.jobs import Job
from coderls.engine.metrics import Metrics
from coderls.engine.model.torch_runner import load_runner
from coderls.engine.rounds import Rounds
from coderls.errors import CoderlsError
from coderls.models.embedded import build_nano
from coderls.models.store import is_ready, resolve
from coderls.tokenizer import Tokenizer
from devtools.sdists import HTTPX, NotFetched, project

PROMPT_TOKENS = 400


@dataclass(frozen=True, slots=True)
class Answer:
    """One run behind a prompt that was read: seconds, tokens, and how many were drafted and came true."""

    seconds: float
    tokens: int
    drafted: int
    accepted: int


@dataclass(frozen=True, slots=True)
class Row:
    """Of one turn over all prompts. `ratio`: time with guessing over time without; below 1 it pays."""

    turn: str
    prompts: int
    ratio: float
    ratio_p5: float
    ratio_p95: float
    drafted: int
    accepted: int


def answer(rounds: Rounds, prompt: Sequence[int], new: int) -> Answer:
    """Read one prompt, then run it alone. Raises what the engine fails it with."""
    _run(rounds, prompt, 0)
    began = time.perf_counter()
    job = _run(rounds, prompt, new)
    return Answer(time.perf_counter() - began, job.produced, job.drafted, job.accepted)


def _run(rounds: Rounds, prompt: Sequence[int], new: int) -> Job:
    events: list[Chunk | CoderlsError] = []
    job = Job(GenerationRequest((), new), tuple(prompt), events.append)
    rounds.admit(job)
    while rounds.jobs:
        rounds.step()
    if isinstance(events[-1], CoderlsError):
        raise events[-1]
    return job


def compare(on: Rounds, off: Rounds, prompts: Sequence[Sequence[int]], new: int) -> list[Row]:
    """Both turns, the two engines alternating."""
    rows = []
    for turn in ("cold", "again"):
        ratios, drafted, accepted = [], 0, 0
        for number, prompt in enumerate(prompts):
            order = (on, off) if number % 2 else (off, on)
            found = {id(rounds): answer(rounds, prompt, new) for rounds in order}
            with_it, without = found[id(on)], found[id(off)]
            if without.tokens and with_it.tokens:  # per token: near-ties may end one earlier
                ratios.append((with_it.seconds / with_it.tokens) / (without.seconds / without.tokens))
            drafted, accepted = drafted + with_it.drafted, accepted + with_it.accepted
        spread = (percentile(ratios, 5), percentile(ratios, 95))
        rows.append(Row(turn, len(ratios), statistics.median(ratios), *spread, drafted, accepted))
    return rows


def prompts_of(files: Sequence[Path], tokenizer: Tokenizer, count: int, seed: int) -> list[list[int]]:
    """Pieces of sources that end at places drawn by `seed`."""
    texts = [tokenizer.encode(file.read_text(encoding="utf-8")) for file in files]
    long = [ids for ids in texts if len(ids) > PROMPT_TOKENS]
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        ids = draw.choice(long)
        end = draw.randrange(PROMPT_TOKENS, len(ids))
        found.append(ids[end - PROMPT_TOKENS : end])
    return found


def _rounds(path: Path, tokenizer: Tokenizer, threads: int, *, speculates: bool) -> Rounds:
    runner = load_runner(path, name=path.name, threads=threads)
    made = Rounds(runner, tokenizer, Metrics(), ended=lambda: None, disturbed=lambda: False, speculates=speculates)
    made.measure()
    return made


def _print(rows: Sequence[Row], machine: Machine, *, calm: bool) -> None:
    print("| turn | prompts | time with / without, median | p5 | p95 | drafted | came true |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        print(
            f"| {row.turn} | {row.prompts} | {row.ratio:.2f} | {row.ratio_p5:.2f} | {row.ratio_p95:.2f} | "
            f"{row.drafted:,} | {row.accepted:,} |"
        )
    print(f"\n{machine}{'' if calm else '; the cores were busy'}")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speculation", description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="nano", help="a model's name or directory (default: nano)")
    parser.add_argument("--prompts", type=int, default=40, metavar="N")
    parser.add_argument("--new", type=int, default=48, metavar="TOKENS")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--idle-limit", type=float, default=60.0, metavar="S", help="longest wait for idle cores")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    try:
        model = resolve(options.model)
        if not is_ready(model):
            build_nano()
        sources = sorted((project(HTTPX) / "httpx").glob("*.py"))
    except (CoderlsError, NotFetched) as error:
        print(error, file=sys.stderr)
        return 1
    tokenizer = Tokenizer.from_file(model.path / "tokenizer.json")
    on, off = (_rounds(model.path, tokenizer, options.threads, speculates=kind) for kind in (True, False))
    calm = wait_for_idle(options.idle_limit)
    rows = compare(on, off, prompts_of(sources, tokenizer, options.prompts, options.seed), options.new)
    machine = describe()
    _print(rows, machine, calm=calm)
    if options.json:
        facts = {"rows": [asdict(row) for row in rows], "machine": asdict(machine), "calm": calm}
        options.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
