"""Every form of the kernels compiles for cards that are not here, and fits their shared memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from devtools.checker_tools import home

pytest.importorskip("triton", reason="needs Triton, which has wheels for Linux only")

#: A block may have 163 KB on sm_80 and 227 KB on sm_90, but 99 KB on sm_86, sm_89 and sm_120.
SMALLEST = 99 * 1024


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("arch", "dtype"), [("80", "bf16"), ("80", "fp32"), ("90", "bf16")])
def test_kernels_compile(arch: str, dtype: str) -> None:
    script = Path(__file__).with_name("compile_for_cards.py")
    # A minute of compiling, once: Triton keeps what it made of the same source, constants, card and version of itself.
    environment = {**os.environ, "TRITON_CACHE_DIR": str(home() / "triton")}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, str(script), arch, dtype], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    built: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(built) == {("80", "bf16"): 32, ("80", "fp32"): 12, ("90", "bf16"): 40}[arch, dtype]
    for one in built:
        assert one["shared_bytes"] <= SMALLEST, one
        assert one["binary_bytes"] > 1000
        if one["kernel"] == "low_bit_product" and dtype == "bf16":
            # Activations and weights are fetched ahead: not where the compiler does not see that loads are aligned.
            assert one["ahead"] >= 2, one
