"""Prompts on cores that other programs want too: `python -m benchmarks.beside`.

How long the embedded model takes to read a prompt on idle cores, beside one program that takes all it gets, and beside
as many as there are cores and one more: as PyTorch comes, and with threads that sleep soon where they wait for each
other (`engine/guest.py`), as an engine does. Each in a process of its own, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.machine import describe, wait_for_idle
from coderls.engine.guest import wait_briefly

WAYS = {"plain": "as PyTorch comes", "brief": "sleep soon"}
PROMPTS = (48, 256)
REST_S = 0.05  # between two prompts, as between two keys


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="turns of each contender (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=10, help="prompts of each length in a turn (default: %(default)s)")
    parser.add_argument("--idle-wait", type=float, default=60, help="wait so long for idle cores (s)")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)  # this process is a contender
    args = parser.parse_args(argv)
    if args.way:
        print(json.dumps(measure(args.way, args.runs)))
        return 0
    idle = wait_for_idle(args.idle_wait)
    cores = os.cpu_count() or 1
    print("| other programs | tokens | " + " | ".join(WAYS.values()) + " |\n| --- | ---: |" + " ---: |" * len(WAYS))
    for others in (0, 1, cores + 1):
        with busy(others):
            turns = [{way: _contender(way, args.runs) for way in WAYS} for _ in range(args.rounds)]
        for tokens in PROMPTS:
            cells = (", ".join(f"{turn[way][str(tokens)]:,.0f}" for turn in turns) for way in WAYS)
            print(f"| {others} | {tokens} | " + " | ".join(cells) + " |", flush=True)
    print(f"\nMilliseconds, the median of each turn. {describe(('coderls', 'torch'))}")
    if not idle:
        print("The cores were not idle before it began.")
    return 0


def _contender(way: str, runs: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.beside", "--way", way, "--runs", str(runs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(way: str, runs: int) -> dict[int, float]:
    """Median milliseconds for each length of prompt, in this process."""
    if way != "plain":
        wait_briefly()  # before torch is imported
    from coderls.engine.model.torch_runner import load_runner  # noqa: PLC0415
    from coderls.engine.runner import Work  # noqa: PLC0415
    from coderls.models import store  # noqa: PLC0415

    model = store.resolve("nano")
    runner = load_runner(model.path, name=model.name)
    tokens = [number * 7919 % runner.info.vocab_size for number in range(max(PROMPTS))]
    milliseconds: dict[int, list[float]] = {length: [] for length in PROMPTS}
    for turn in range(runs + 1):
        for length, found in milliseconds.items():
            time.sleep(REST_S)
            began = time.perf_counter()
            runner.run([Work(0, 0, tokens[:length])])
            if turn:  # the first warms up
                found.append((time.perf_counter() - began) * 1000)
    return {length: statistics.median(found) for length, found in milliseconds.items()}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many programs that take all the processor time that they get, each in a session of its own."""
    command = [sys.executable, "-c", "while True: pass"]
    programs = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


if __name__ == "__main__":
    sys.exit(main())
