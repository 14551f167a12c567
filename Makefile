# Every target does all of its own set-up. Needs Python 3.11 or 3.12 (with venv), git and make.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
SET_UP := .venv/set-up
ARGS ?=

.PHONY: help run test bench lint write check clean

help:
	@echo "make run      start Concord and the sandbox systems, until Ctrl-C (ARGS=\"--rate 2\" passes options on)"
	@echo "make test     everything that must hold: lint, types, generated files, the map, all tests"
	@echo "make bench    measure speed, and print the table of the README"
	@echo "make lint     style and types alone"
	@echo "make write    write the dbt models, the JSON Schema and the pictures from the map"
	@echo "make check    lint the map, with a verdict per flow"
	@echo "make clean    remove the virtual environment and caches; state in .concord/ stays (concord reset empties it)"

run: $(SET_UP)
	@exec $(BIN)/concord run $(ARGS)

test: lint
	@echo "== generated files"
	@$(BIN)/concord write --check
	@$(BIN)/concord schema --check
	@$(BIN)/concord draw --check
	@echo "== map"
	@$(BIN)/concord check
	@echo "== tests"
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations=20 $(ARGS)

bench: $(SET_UP)
	@exec $(BIN)/python -m tests.bench $(ARGS)

lint: $(SET_UP)
	@echo "== style"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@echo "== types"
	@$(BIN)/mypy pipelines resources tests

write: $(SET_UP)
	@$(BIN)/concord write
	@$(BIN)/concord schema
	@$(BIN)/concord draw

check: $(SET_UP)
	@$(BIN)/concord check $(ARGS)

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info dbt_project/target dbt_project/logs logs
	@find pipelines resources tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is as new as the pins that were installed; a set-up that was cut short leaves none and is done again.
$(SET_UP): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { \
		echo "Concord needs Python 3.11 or 3.12; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.11"; exit 1; }
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv .venv || { \
		rm -rf .venv; echo "The virtual environment cannot be made; install Python's venv (Debian: apt install python3-venv)"; exit 1; }
	@echo "== installing $$(wc -l < .ci/constraints.txt) pinned packages into .venv (a minute or two, once)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --log .venv/set-up.log \
		--constraint .ci/constraints.txt --editable '.[dev]' 2> .venv/set-up.err \
		| while read -r word _; do case "$$word" in Collecting) printf .;; esac; done \
		|| { echo; tail -n 5 .venv/set-up.err; echo "The packages could not be installed; see .venv/set-up.log and type the command again"; exit 1; }
	@echo " done"
	@touch $@
