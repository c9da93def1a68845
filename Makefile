# Four commands, the same by hand and in CI: make check, make test, make bench, make demo.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test check bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   a real completion in a real project, with the model that comes with coderls"
	@echo "make test   every test (a few minutes on two cores)"
	@echo "make check  ruff, mypy --strict and the import contracts"
	@echo "make bench  the benchmarks of BENCHMARKS.md (HUMANEVAL=path for the FIM scores)"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "coderls needs Python 3.10 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade -c constraints.txt pip
	$(BIN)/python -m pip install -c constraints.txt torch
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/python -m devtools.demo

test: $(STAMP)
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m benchmarks.keystroke
	$(BIN)/python -m benchmarks.engine
	$(if $(HUMANEVAL),$(BIN)/python -m benchmarks.fim_quality $(HUMANEVAL),@echo "fim_quality: give HUMANEVAL=path/to/HumanEval-SingleLineInfilling.jsonl.gz")

clean:
	rm -rf $(VENV) build dist .demo
