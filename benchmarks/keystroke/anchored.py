"""What a key costs a prompt, plain and anchored: `python -m benchmarks.keystroke anchored`. No model runs.

The lines of `typed` are typed key by key with the prefix first (Qwen2.5-Coder's order) and with the suffix first (the
embedded model's). Counted are the tokens of each prompt that the one before does not begin with: what an engine has
to read anew, by the embedded model's tokenizer, with 600 tokens before and 250 after the cursor.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.keystroke.typed import SEED, Piece, draw_pieces
from benchmarks.machine import percentile
from coderls.document import Document
from coderls.engine.kv_slots import common_prefix
from coderls.fim.anchor import Anchors
from coderls.fim.model import Budgets, FimModel
from coderls.fim.prompt import build_prompt
from coderls.fim.templates import load_template
from coderls.models import embedded
from coderls.tokenizer import Tokenizer

BUDGET = Budgets(600, 250, 0)
KEY_S = 0.2


def main(argv: Sequence[str] | None = None) -> int:
    """Count and print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keystroke anchored", description=__doc__)
    parser.add_argument("--lines", type=int, default=200, metavar="N", help="lines to type (default: 200)")
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args(argv)
    path = embedded.build_nano(lambda _step, _fraction: None).path
    tokenizer = Tokenizer.from_file(path / "tokenizer.json")
    own = load_template(path, "nano", tokenizer)
    first = replace(own, layout="prefix-suffix-middle", middle=own.suffix, suffix=own.prefix, prefix=own.stop[0])
    pieces = [piece for _, some in draw_pieces(args.lines, args.seed) for piece in some]
    print("| order of the prompt | | keys | tokens to read a key, mean | p50 | p95 |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, template in (("prefix, suffix, middle", first), ("suffix, prefix", own)):
        model = FimModel(template, tokenizer, frozenset({"required_prefix"}))
        for form, anchors in (("plain", None), ("anchored", Anchors())):
            read = [count for piece in pieces for count in tokens_read(piece, model, anchors)]
            mean = sum(read) / len(read)
            p50, p95 = percentile(read, 50), percentile(read, 95)
            print(f"| {name} | {form} | {len(read)} | {mean:.1f} | {p50:.0f} | {p95:.0f} |")
    return 0


def tokens_read(piece: Piece, model: FimModel, anchors: Anchors | None) -> list[int]:
    """For each key of a piece but the first, the tokens of the prompt that the one before does not begin with."""
    lines = piece.path.read_text(encoding="utf-8").split("\n")
    before = "\n".join(lines[: piece.first]) + "\n"
    after = "\n" + "\n".join(lines[piece.last :])
    wanted = "\n".join(piece.lines)
    known: tuple[int, ...] = ()
    read = []
    for size in range(len(wanted)):
        document = Document(piece.path.as_uri(), "python", size, before + wanted[:size] + after)
        offset = len(before) + size
        anchor = anchors.at(document, offset, size * KEY_S, model.count) if anchors is not None else None
        ids = build_prompt(document, offset, model, BUDGET, anchor=anchor).token_ids or ()
        if known:
            read.append(len(ids) - common_prefix(known, ids))
        known = ids
    return read
