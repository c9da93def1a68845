# Four commands, the same by hand and in CI: make check, make test, make bench, make demo.
#
#   make demo PYTHON=python3.12                                       another Python
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu        PyTorch without CUDA, on Linux
#   make bench HUMANEVAL=HumanEval-SingleLineInfilling.jsonl.gz       with the FIM scores

PYTHON      ?= $(shell command -v python3.11 || command -v python3 || echo python3)
TORCH_INDEX ?=
VENV        := .venv
BIN         := $(VENV)/bin
STAMP       := $(VENV)/.installed
RUNTIME     := $(VENV)/.runtime
PIP         := $(BIN)/python -m pip --disable-pip-version-check
# Beside the usual index, from which all else still comes: 2.13.0+cpu counts as newer than 2.13.0 of the usual one, and
# as the 2.13.0 that constraints.txt asks for.
MORE_INDEX  := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# pip's last word without a network is that versions conflict.
REACHED     := || { echo "pip could not install: is there a network, or a package index that pip may ask?" >&2; exit 1; }

.PHONY: help demo test check bench clean vscode
.DEFAULT_GOAL := help

help:
	@echo "make demo   a real completion in a real project, with the model that comes with coderls"
	@echo "make test   every test (7 minutes on two idle cores; the first run compiles kernels, one minute more)"
	@echo "make check  ruff, mypy --strict and the import contracts"
	@echo "make bench  the benchmarks of BENCHMARKS.md (HUMANEVAL=FILE for the FIM scores)"
	@echo "make vscode the VS Code extension: types, lint, unit tests, and coderls.vsix (needs npm)"
	@echo "make clean  remove .venv and what was built or fetched here"

# Made once, and again when the versions change; after that nothing here asks the network. The demo needs coderls alone;
# where the tools of its developers are (STAMP), coderls is.
$(STAMP): WHAT := .[dev]
$(RUNTIME): WHAT := .
$(STAMP) $(RUNTIME): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "coderls needs Python 3.10 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade -c constraints.txt pip $(REACHED)
	$(PIP) install $(if $(CI),--quiet) -c constraints.txt $(MORE_INDEX) -e '$(WHAT)' $(REACHED)
	@touch $@

demo: $(or $(wildcard $(STAMP)),$(RUNTIME))
	@$(BIN)/python -m devtools.demo

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations 25

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m benchmarks.keystroke
	$(BIN)/python -m benchmarks.engine
	@$(if $(HUMANEVAL),$(BIN)/python -m benchmarks.fim_quality $(HUMANEVAL),echo "fim_quality: not run; make bench HUMANEVAL=HumanEval-SingleLineInfilling.jsonl.gz")

# npm asks its registry once for what the lock file names; then nothing here asks a network.
vscode: $(STAMP)
	test -d editors/vscode/node_modules || (cd editors/vscode && npm ci --silent)
	cd editors/vscode && npm run --silent check && npm test --silent && npm run --silent package

clean:
	rm -rf $(VENV) build dist .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
