# Everything a fresh machine with Python >= 3.11, git and make needs: each target sets up .venv where it is missing or stale.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin
# Every test computes with one thread; a file's tests share what they prepare.
AT_ONCE := --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: demo test test-all lint bench clean

demo: $(READY)
	$(BIN)/falsewitness demo

test: $(READY)
	$(BIN)/python -m pytest $(AT_ONCE) --cov=falsewitness --cov-report=term:skip-covered --cov-fail-under=90 --durations=15

test-all: $(READY)
	$(BIN)/python -m pytest $(AT_ONCE) -m "slow or not slow"

lint: $(READY)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python benchmarks/suite.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "falsewitness needs Python >= 3.11, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)
