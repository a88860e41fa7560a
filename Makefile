# The verbs of this repository; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.complete
# Tests run two at a time with one torch thread each: more threads than cores make them slower.
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup test demo clean

help:  ## this list
	@sed -nE 's/^([a-z]+):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

setup: $(STAMP)  ## build .venv with the pinned versions (about 5 GB); nothing to do when nothing changed

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing the pinned versions into .venv (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

test: setup  ## formatting, lint, types, tests
	$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ."; exit 1; }
	$(BIN)/ruff check --quiet .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet --numprocesses $(JOBS) --durations 10

demo: setup  ## real speech to an exported recogniser: train one pass, evaluate the family, export, transcribe (10 minutes)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/amazon_queen/demo.sh

clean:  ## remove caches and build outputs (keeps .venv and runs)
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	find allinone tests conf -name __pycache__ -type d -prune -exec rm -rf {} +
