# make run    installs into .venv (once) and runs the smoke suite
# make test   installs the development tools (once) and runs the tests
# make check  ruff, mypy, pyright and import-linter
# make bench  prints measured speeds          make nightly  tests and suites that take hours
# make oracles  asks other libraries, in .venv-oracles, for the answers in tests/golden that tests compare with
# make clean  removes what builds and tools left behind (.venv stays; make distclean removes it too)
#
# PYTHON=python3.12         the interpreter for a new .venv; the default is the first of the right version
# TORCH_FLAGS="--index-url https://download.pytorch.org/whl/cpu"    the CPU build of torch
# ARGS="runner.workers=4"   more arguments for `simloop run`         PYTEST_FLAGS="-x -k clock"
# TEST_PROCESSES=4          processes of `make test`, 4 GB each

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: run install dev test check format bench nightly oracles wheel clean distclean

VENV ?= .venv
ORACLES ?= .venv-oracles
BIN := $(VENV)/bin
RIGHT_VERSION := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
	if "$$p" -c '$(RIGHT_VERSION)' >/dev/null 2>&1; then echo "$$p"; break; fi; done)
TORCH_FLAGS ?=
ARGS ?=
PYTEST_FLAGS ?=
TEST_PROCESSES ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH_PIN := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

# One thread for each process: replies do not depend on how many cores a machine has.
export OMP_NUM_THREADS ?= 1

run: install
	$(BIN)/simloop run suite=smoke $(ARGS)

install: $(VENV)/.installed
dev: $(VENV)/.installed-dev

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "simloop needs Python 3.11 or 3.12 and found neither: install one, or give \
	make PYTHON=/path/to/python3.12." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch goes first, so that a build chosen by TORCH_FLAGS stays.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	$(PIP) install --quiet $(TORCH_PIN) -c constraints.txt $(TORCH_FLAGS)
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) install --quiet --editable . -c constraints.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --editable ".[dev]" -c constraints.txt
	@touch $@

# A file's tests stay in one process: they share servers and models. One that dies ends the tests: they would wait for it.
test: dev
	$(BIN)/python -m pytest -m "not nightly and not wheel and not bench" -n $(TEST_PROCESSES) --dist loadfile \
		--max-worker-restart 0 $(PYTEST_FLAGS)

check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: dev
	$(BIN)/python -m pytest tests/benchmarks -m bench -s -q $(PYTEST_FLAGS)

nightly: dev
	# Some of them work for many minutes in one test.
	$(BIN)/python -m pytest -m nightly -o faulthandler_timeout=3600 $(PYTEST_FLAGS)
	# Every cell of the UN R157 grids: hours on two cores. Started again the same day, it goes on where it was stopped.
	for suite in r157_deceleration r157_cut_out r157_cut_in; do \
		$(BIN)/simloop run suite=$$suite cells=all run_id=nightly_$${suite}_$$(date +%Y%m%d) $(ARGS) || exit; done

# Their requirements contradict ours, so they get an environment of their own.
$(ORACLES)/.installed: tests/oracles/requirements.txt
	$(PYTHON) -m venv $(ORACLES)
	$(ORACLES)/bin/python -m pip --disable-pip-version-check install --quiet -r tests/oracles/requirements.txt
	@touch $@

oracles: $(ORACLES)/.installed
	$(ORACLES)/bin/python tests/oracles/commonroad_crime_golden.py
	$(ORACLES)/bin/python tests/oracles/ad_rss_golden.py

wheel: dev
	rm -rf build dist
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find simloop envs agents scenarios conf tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(ORACLES)
