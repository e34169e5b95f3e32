# Two commands matter: `make run` and `make test`. Both do their own set-up.
SHELL := /bin/bash
PYTHON ?= $(shell for p in /usr/bin/python3.11 python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run setup test test-all unit lint types fmt journeys fuzz crash events bench docs lock system-packages clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: $(VENV)/.runtime ## set up what is needed and start posthouse on loopback (dev profile)
	@$(BIN)/posthouse serve $(ARGS)

setup: $(VENV)/.dev ## the environment with everything the tests need from Python

$(VENV)/bin/python:
	@PYTHON="$(PYTHON)" tools/make-venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing what posthouse needs ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

system-packages: ## Debian packages that the tests talk to (needs root)
	@tools/system-packages

test: $(VENV)/.dev system-packages ## every test, against real servers where one is named
	@$(BIN)/python -m pytest $(ARGS)

test-all: lint types test ## what CI runs

unit: $(VENV)/.dev ## the pure rooms only: seconds
	@$(BIN)/python -m pytest tests/unit tests/wire tests/architecture $(ARGS)

lint: $(VENV)/.dev
	@$(BIN)/ruff check src tests tools
	@$(BIN)/ruff format --check src tests tools

types: $(VENV)/.dev
	@$(BIN)/mypy

fmt: $(VENV)/.dev ## format and sort imports
	@$(BIN)/ruff check --fix --quiet src tests tools; $(BIN)/ruff format src tests tools

journeys: $(VENV)/.dev system-packages ## whole stories with real servers
	@$(BIN)/python -m pytest tests/journeys $(ARGS)

fuzz: $(VENV)/.dev ## every parser, many inputs: make fuzz INPUTS=1000000
	@POSTHOUSE_FUZZ_INPUTS=$(or $(INPUTS),200000) $(BIN)/python -m pytest tests/fuzz $(ARGS)

crash: $(VENV)/.dev ## kill -9 under load, again and again: make crash KILLS=50 SEED=1
	@$(BIN)/python tools/crash.py --kills $(or $(KILLS),50) $(if $(SEED),--seed $(SEED))

events: $(VENV)/.dev ## every event told, by destinations that fail half the time: make events EVENTS=100000 KILLS=10
	@$(BIN)/python tools/events.py --events $(or $(EVENTS),100000) --kills $(or $(KILLS),10) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.dev system-packages ## speed beside Postfix and moto, in one run
	@$(BIN)/python tools/bench.py $(ARGS)

docs: $(VENV)/.dev ## writes the generated reference pages
	@$(BIN)/python tools/generate_model.py && $(BIN)/python tools/generate_docs.py

lock: $(VENV)/.dev ## pins every package by hash
	@for f in runtime dev s3_encryption_client; do $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-annotate --no-header --universal --python-version 3.11 --upgrade requirements/$$f.in -o requirements/$$f.txt; done

clean: ## removes the environment and caches, never your data
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
