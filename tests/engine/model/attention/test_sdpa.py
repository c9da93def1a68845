"""What torch's own attention brings along."""

from __future__ import annotations

import subprocess
import sys


def test_an_engine_on_a_processor_does_not_bring_torchs_compiler() -> None:
    """It takes two seconds to import, and nothing there is compiled by it."""
    code = "import coderls.engine.model.torch_runner, sys; print(*({'torch', 'torch._dynamo'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["torch"]
