"""`coderls models quantize`: the quantized copy of a model, made before it is needed."""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from coderls.cli.progress import Progress
from coderls.models import quantized, store

GROUPS = (32, 64, 128)


def add_parser(actions: Any) -> None:
    """Add `quantize` to the actions of `coderls models`."""
    parser = actions.add_parser("quantize", help="make a copy of a model in int8 or int4, kept in the cache")
    parser.add_argument("model", metavar="MODEL", help="a model's name or directory, in bfloat16")
    parser.add_argument("--bits", type=int, choices=(4, 8), default=4, help="(default: %(default)s)")
    parser.add_argument(
        "--group", type=int, choices=GROUPS, default=32, help="inputs that share a scale in int4 (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Make it, or say that it is there."""
    found = store.resolve(args.model)  # a wrong name is told before torch is there
    from coderls.engine.model.config import read_config  # noqa: PLC0415  (these bring torch)
    from coderls.engine.model.forms import WeightForm  # noqa: PLC0415
    from coderls.engine.model.quantized_file import make  # noqa: PLC0415

    with Progress() as progress:
        if not store.is_ready(found):
            from coderls.models.embedded import build_nano  # noqa: PLC0415  (brings gguf)

            found = build_nano(progress)
        form = WeightForm(args.bits, args.group)
        there = quantized.file_for(found.path, form.file_name).is_file()
        path = make(found.path, read_config(found.path), form, progress)
    with contextlib.suppress(OSError):
        path.touch()  # of several group sizes the engine takes the one that was asked for last
    size = path.stat().st_size
    print(f"{found.name} in {form.name} is {'there already' if there else 'made'}: {path} ({size / 1e6:,.0f} MB).")
    print(f'Use it: set `engine.weights` to "{form.name}".')
    return 0
