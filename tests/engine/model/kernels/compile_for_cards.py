"""Compile every form of the kernels that the engine launches for cards that are not here. Run in a process of its own,
without TRITON_INTERPRET: prints a JSON list of {kernel, form, arch, shared_bytes, binary_bytes, ahead}.
`ahead`: loads in a loop that are started rounds before they are used.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from coderls.engine.model.kernels.low_bit import low_bit_product, low_bit_wide
from coderls.engine.model.kernels.split_attention import join_parts, split_attention

Form = tuple[Any, dict[str, str], dict[str, Any], dict[str, int]]


def attention(dtype: str, arch: int) -> Iterator[Form]:
    """Types of arguments, constants and options as `triton_backend.py` gives them."""
    data = f"*{dtype}"
    wide = dtype == "fp32"
    block = 32 if wide else 64
    # Caches in 8 bits; those in floating point for cards that have it.
    kinds = [data, "*i8", *(["*fp8e4nv"] if arch >= 89 else [])]
    for head_dim in (128,) if wide else (64, 128):  # float32 takes the compiler long
        for rows in (16, 128) if wide else (16, 32, 64, 128):
            for cache in kinds:
                signature = {"queries": data, "cache": cache, "scales": data if cache == data else "*bf16"}
                signature |= {"table": "*i32", "partial": "*fp32", "weight": "*fp32"}
                signature |= {"query_stride": "i32", "splits": "i32", "scale": "fp32"}
                constants = {"KV_HEADS": 4, "GROUP": 7, "HEAD_DIM": head_dim, "ROWS": rows, "BLOCK": block}
                constants |= {"SCALES": 0 if cache == data else head_dim // 32}
                stages = 1 if wide else 3 if rows <= 32 else 2
                options = {"num_warps": 8 if rows > 64 else 4, "num_stages": stages}
                yield split_attention, signature, {**constants, "LEAST": 128, "WIDEN": False}, options
        for splits in (1, 128):
            signature = {"partial": "*fp32", "weight": "*fp32", "table": "*i32", "output": data}
            constants = {"HEADS": 28, "HEAD_DIM": head_dim, "BLOCK": block, "SPLITS": splits, "LEAST": 128}
            yield join_parts, signature, {**constants, "WIDEN": False}, {"num_warps": 8 if splits > 64 else 4}


def low_bit(dtype: str, arch: int) -> Iterator[Form]:
    """As `low_bit.py` gives them."""
    del arch  # the same for all
    data = f"*{dtype}"
    at_once, stages = (4096, 2) if dtype == "fp32" else (8192, 4)
    for group in (0, 128) if dtype == "fp32" else (0, 32, 64, 128):
        q = "*u8" if group else "*i8"
        parts = {"q": q, "scale": "*bf16", "zero": "*bf16"}
        for tile, extras in ((16, True), (64, False)):
            signature = {"x": data, **parts, "bias": data, "add": data, "y": data}
            signature |= dict.fromkeys(("rows", "outs", "ins", "row_bytes", "x_stride", "add_stride"), "i32")
            constants = {
                "GROUP": group,
                "HAS_BIAS": extras,
                "HAS_ADD": extras,
                "ROWS": 16,
                "OUT": tile,
                "IN": max(group, at_once // tile),
            }
            yield low_bit_product, signature, {**constants, "WIDEN": False}, {"num_warps": 4, "num_stages": stages}
        signature = {**parts, "wide": data, "outs": "i32", "ins": "i32", "row_bytes": "i32"}
        yield low_bit_wide, signature, {"GROUP": group, "OUT": 16, "IN": 256, "WIDEN": False}, {"num_warps": 4}


def compiled(form: Form, arch: int) -> dict[str, Any]:
    kernel, signature, constants, options = form
    types = {**signature, **dict.fromkeys(constants, "constexpr")}
    plain = kernel.params  # what is not specialized says so
    attributes = {
        (place,): [["tt.divisibility", 16]]
        for place, (name, kind) in enumerate(signature.items())
        if name != "scale" and kind != "fp32" and not plain[place].do_not_specialize
    }
    source = ASTSource(fn=kernel, signature=types, constexprs=constants, attrs=attributes)
    built = triton.compile(source, target=GPUTarget("cuda", arch, 32), options={**options, "enable_fp_fusion": True})
    return {
        "kernel": kernel.__name__,
        "form": constants,
        "arch": arch,
        "shared_bytes": built.metadata.shared,
        "binary_bytes": len(built.asm["cubin"]),
        "ahead": built.asm["ttgir"].partition("scf.for")[2].count("async_copy_global_to_local"),
    }


def main() -> None:
    warnings.simplefilter("error")
    arch = int(sys.argv[1])
    forms = [form for dtype in sys.argv[2:] for make in (attention, low_bit) for form in make(dtype, arch)]
    print(json.dumps([compiled(form, arch) for form in forms]))


if __name__ == "__main__":
    main()
