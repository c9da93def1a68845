#!/usr/bin/env bash
# The GPU tests and all measures of the engine on a bare machine with an NVIDIA card and its driver, in one command:
#
#   benchmarks/gpu.sh                        # some minutes to install, then about half an hour on a large card
#   LIMIT_S=540 benchmarks/gpu.sh            # stops in time (code 3: there is more); the same again goes on from there
#   SIZES="0.5B 1.5B" benchmarks/gpu.sh      # fewer sizes, for a smaller card
#   SMALL=1 benchmarks/gpu.sh                # tiny shapes, also without a card: whether everything here runs
#
#   OUT=DIR       where results go (default: gpu-results): card.txt, tests.log, gpu.json, gpu.md, measure.log, kernels.log
#   PYTHON=...    the Python to use. One that has PyTorch and the few packages that the measures import is used as it is,
#                 from this folder and without installing anything; else VENV is made with it.
#   VENV=DIR      the virtual environment (default: OUT/venv)      TORCH_INDEX=URL   another index for PyTorch
#   FLASH=1       try the FlashAttention-3 package too
#
# In this order, each once: tests of the model on the card, the measures (the weightiest first; what was found is kept
# after each), tests of the kernels on the card. A step that failed or ran out of time is taken again by the next call.
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=${OUT:-gpu-results}
VENV=${VENV:-$OUT/venv}
PYTHON=${PYTHON:-$(command -v python3.11 || command -v python3)}
SMALL=${SMALL:-}
LIMIT_S=${LIMIT_S:-0}
mkdir -p "$OUT"

left() { if [ "$LIMIT_S" -gt 0 ]; then echo $((LIMIT_S - SECONDS)); else echo 86400; fi; }
can_measure() { "$1" -c "import pytest, hypothesis, transformers, benchmarks.gpu" 2>"$OUT/missing.txt"; }

if can_measure "$PYTHON"; then
  python=$PYTHON
else
  python=$VENV/bin/python
  if ! can_measure "$python"; then
    test -x "$python" || "$PYTHON" -m venv "$VENV"
    pip="$python -m pip --disable-pip-version-check install --quiet -c constraints.txt"
    $pip ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
    $pip -e '.[dev]'
    if [ -n "${FLASH:-}" ]; then
      $pip -e '.[flash3]' || echo "FlashAttention-3 could not be installed; the engine runs without it" >&2
    fi
    can_measure "$python" || { cat "$OUT/missing.txt" >&2; exit 1; }
  fi
fi
rm -f "$OUT/missing.txt"

if command -v nvidia-smi >/dev/null; then
  nvidia-smi >"$OUT/card.txt" || echo "nvidia-smi failed; the measures say whether PyTorch can use the card" >&2
elif [ -z "$SMALL" ]; then
  echo "There is no NVIDIA driver here (no nvidia-smi). SMALL=1 tries everything in tiny shapes." >&2
  exit 1
fi

# Without the project's own settings of pytest and the fixtures of other folders: these need more packages.
settings=$(mktemp)
trap 'rm -f "$settings"' EXIT
printf '[pytest]\naddopts = --import-mode=importlib -q -ra\nmarkers =\n  gpu: needs a CUDA card\n  timeout: of one test\n' >"$settings"

status=0 unfinished=0
tests() { # NAME MOST_S FOLDER ARGUMENTS...: once, in so many seconds at most; what it says is in NAME.log
  local name=$1 most=$2 folder=$3 rest code=0
  shift 3
  test ! -e "$OUT/$name.done" || return 0
  rest=$(left)
  if [ "$rest" -lt 60 ]; then unfinished=1; return 0; fi
  timeout "$((rest < most ? rest : most))" "$python" -m pytest -c "$settings" --rootdir "$PWD" --confcutdir "$folder" \
    -p no:cacheprovider "$@" 2>&1 | tee "$OUT/$name.log" || code=$?
  if [ "$code" -eq 0 ]; then touch "$OUT/$name.done"; else status=1; echo "$name: see $OUT/$name.log" >&2; fi
}

model=tests/engine/model
if [ -z "$SMALL" ]; then
  tests tests 240 $model -m gpu $model/test_cuda.py $model/attention/test_choose.py $model/attention/test_flash.py
  # shellcheck disable=SC2206
  measures=(--sizes ${SIZES:-7B 1.5B 0.5B 14B} --device cuda)
else
  tests tests 240 tests/benchmarks tests/benchmarks/test_gpu.py
  measures=(--sizes tiny --contexts 64 256 --repeats 3 --device cpu --kv-caches int8 --least-s 1)
fi
if [ "$(left)" -gt 60 ]; then
  code=0
  "$python" -m benchmarks.gpu "${measures[@]}" --limit-s "$([ "$LIMIT_S" -gt 0 ] && echo $(($(left) - 15)) || echo 0)" \
    --json "$OUT/gpu.json" --markdown "$OUT/gpu.md" 2>&1 | tee -a "$OUT/measure.log" || code=$?
  case $code in 0) ;; 3) unfinished=1 ;; *) status=1 ;; esac
else
  unfinished=1
fi
if [ -z "$SMALL" ] && [ $unfinished -eq 0 ]; then
  tests kernels 400 $model $model/attention $model/test_low_bit.py $model/test_gathered.py
fi

if [ $unfinished -ne 0 ]; then
  echo "There is more to do: run the same again, with the same OUT" >&2
  test $status -ne 0 || status=3
fi
exit $status
