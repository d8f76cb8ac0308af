# Two commands for everybody:  make demo   make test.   Both install what they need into .venv, once.

.DEFAULT_GOAL := help
.PHONY: help demo test slow lint format constraints clean

VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
ARGS ?=

# Any Python from 3.11 on that can make virtual environments, `python3` first.
CAN := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c '$(CAN)' 2>/dev/null && { echo $$p; break; }; done)

# An installation is as old as these two files, by content: a new clone or a touched file alone installs nothing again.
STAMP := $(shell cat pyproject.toml constraints.txt | cksum | tr ' ' '-')
INSTALLED := $(VENV)/installed-$(STAMP)
TESTABLE := $(VENV)/testable-$(STAMP)
PIP := $(BIN)/python -m pip install -q -c constraints.txt

help:
	@echo "make demo    install, then compare all methods on the embedded digits: report in $(DEMO)/report.html"
	@echo "make test    install, then run the tests (make test ARGS='-k stats' for some of them)"
	@echo "make slow    the slow tests: real data, minutes of training"
	@echo "make lint    format check, lint, types"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error[python]: no Python 3.11 or newer with venv was found. Fix: install one \
	(Debian: apt install python3-venv), or name it: make demo PYTHON=/path/to/python." >&2; exit 2; }
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv --clear $(VENV)

# torch first and alone, so that the plain build found by pip is taken, not one that another package asks for.
$(INSTALLED): | $(BIN)/python
	@echo "Installing sparring into $(VENV) (once; a minute or two)"
	@$(PIP) torch
	@$(PIP) -e '.[app]'
	@touch $@

$(TESTABLE): $(INSTALLED)
	@echo "Installing the test tools into $(VENV) (once)"
	@$(PIP) -e '.[test]'
	@touch $@

demo: $(INSTALLED)
	@$(BIN)/sparring compare digits --minutes 4 --out $(DEMO)

# Two processes with one thread each: more would fight for the cores.
test: export OMP_NUM_THREADS = 1
test: $(TESTABLE)
	@$(BIN)/python -m pytest -n 2 $(ARGS)

slow: export OMP_NUM_THREADS = 1
slow: $(TESTABLE)
	@$(BIN)/python -m pytest -m slow --timeout 1800 $(ARGS)

$(VENV)/developable-$(STAMP): $(TESTABLE)
	@$(PIP) -e '.[test,dev]'
	@touch $@

lint: $(VENV)/developable-$(STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright

format: $(VENV)/developable-$(STAMP)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Newest versions that fit together, torch as it is pinned now. The result is what every install uses.
constraints:
	@rm -rf build/constraints && $(PYTHON) -m venv build/constraints
	@grep '^torch==' constraints.txt > build/torch.txt
	@build/constraints/bin/python -m pip install -q -c build/torch.txt torch
	@build/constraints/bin/python -m pip install -q -c build/torch.txt '.[test,dev]'
	@{ head -1 constraints.txt; build/constraints/bin/python -m pip list --format=freeze --exclude sparring \
		--exclude pip --exclude setuptools | sed 's/+[a-z0-9.]*$$//' | tr 'A-Z_' 'a-z-' | LC_ALL=C sort -t= -k1,1; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt

clean:
	@rm -rf build dist .pytest_cache .ruff_cache
