# Everything is started from here. `make` alone lists the targets.
# Paths are relative to this folder, so that it may lie anywhere, also under a name with spaces.

PYTHON ?= python3.11
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

# What the demo takes from the command line; `value` keeps a $ in a sentence as it was typed.
TEXT ?= data_prep/sample_corpus.txt
SENTENCE ?= The keeper of the lighthouse climbed the [MASK] every evening.
DEMO_DIR ?= demo_out
override TEXT := $(value TEXT)
override SENTENCE := $(value SENTENCE)
override DEMO_DIR := $(value DEMO_DIR)
export TEXT SENTENCE DEMO_DIR

PYTEST_ARGS ?= -n 2 --dist worksteal
# TensorFlow's start-up notices would bury what the commands say.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check lint format types unit clean

help: ## list the targets
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)$$/  \1|\2/p' Makefile | awk -F'|' '{printf "%-10s %s\n", $$1, $$2}'
	@echo 'Options: PYTHON=/path/to/python3.11 (setup); TEXT=file SENTENCE="... [MASK] ..."'
	@echo '         DEMO_DIR=folder STEPS=n (demo); PYTEST_ARGS="-k name" (unit, test)'

setup: $(STAMP) ## make .venv and install everything into it (does nothing if it is up to date)

# The stamp is written last: after an interruption, setup goes on where it was.
$(STAMP): requirements.txt requirements-dev.txt constraints.txt pyproject.toml
	@sh scripts/make_venv.sh "$(PYTHON)" $(VENV)
	$(PY) -m pip install --disable-pip-version-check \
		-r requirements.txt -r requirements-dev.txt -c constraints.txt
	$(PY) -m pip install --disable-pip-version-check --no-deps --no-build-isolation --quiet -e .
	$(PY) -m pip check
	@touch $@

demo: setup ## text -> vocabulary -> records -> a small BERT -> evaluation -> a filled [MASK]
	@bash scripts/demo.sh

test: lint types unit ## lint, types and all tests; what continuous integration runs

check: test ## the same as test

lint: setup ## ruff: format and rules
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

format: setup ## let ruff rewrite what it can
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

types: setup ## mypy
	$(PY) -m mypy $(wildcard bert_tf data_prep saved_models benchmarks scripts)

unit: setup ## pytest
	$(PY) -m pytest $(PYTEST_ARGS)

clean: ## remove caches and the demo's output; .venv stays
	rm -rf demo_out .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
