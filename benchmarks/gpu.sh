#!/usr/bin/env bash
# The GPU tests and all measures of the engine on a bare machine with an NVIDIA card and its driver, in one command:
#
#   benchmarks/gpu.sh                        # some minutes to install, then about half an hour on a large card
#   SIZES="0.5B 1.5B" benchmarks/gpu.sh      # fewer sizes, for a smaller card
#   SMALL=1 benchmarks/gpu.sh                # tiny shapes, also without a card: whether everything here runs
#
#   OUT=DIR       where results go (default: gpu-results): tests.log, gpu.json, gpu.md, card.txt
#   VENV=DIR      the virtual environment (default: OUT/venv); one that has coderls already is used as it is
#   PYTHON=...    the Python that makes it        TORCH_INDEX=URL   another index for PyTorch
#   FLASH=1       try the FlashAttention-3 package too
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=${OUT:-gpu-results}
VENV=${VENV:-$OUT/venv}
PYTHON=${PYTHON:-$(command -v python3.11 || command -v python3)}
SMALL=${SMALL:-}
mkdir -p "$OUT"

if ! "$VENV/bin/python" -c "import coderls, torch" 2>/dev/null; then
  test -x "$VENV/bin/python" || "$PYTHON" -m venv "$VENV"
  pip="$VENV/bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt"
  $pip ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
  $pip -e '.[dev]'
  if [ -n "${FLASH:-}" ]; then
    $pip -e '.[flash3]' || echo "FlashAttention-3 could not be installed; the engine runs without it" >&2
  fi
fi

if command -v nvidia-smi >/dev/null; then
  nvidia-smi >"$OUT/card.txt"
elif [ -z "$SMALL" ]; then
  echo "There is no NVIDIA driver here (no nvidia-smi). SMALL=1 tries everything in tiny shapes." >&2
  exit 1
fi

status=0
if [ -z "$SMALL" ]; then
  "$VENV/bin/python" -m pytest -m gpu 2>&1 | tee "$OUT/tests.log" || status=1
  # shellcheck disable=SC2086
  "$VENV/bin/python" -m benchmarks.gpu --sizes ${SIZES:-0.5B 1.5B 7B 14B} --device cuda \
    --json "$OUT/gpu.json" --markdown "$OUT/gpu.md"
else
  "$VENV/bin/python" -m pytest tests/benchmarks/test_gpu.py 2>&1 | tee "$OUT/tests.log" || status=1
  "$VENV/bin/python" -m benchmarks.gpu --sizes tiny --contexts 64 256 --repeats 3 --device cpu --kv-caches int8 \
    --json "$OUT/gpu.json" --markdown "$OUT/gpu.md"
fi
test $status -eq 0 || echo "Some tests failed: $OUT/tests.log" >&2
exit $status
