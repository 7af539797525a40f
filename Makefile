# The verbs of paperfeed. `make` alone lists them.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
LAST_DAYS ?= 7

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/nightly  ## one bundled week, collected, indexed and asked, without the network
	@$(BIN)/python -m data.sample.demo

setup: .venv/dev  ## make .venv with everything pinned

nightly: .venv/nightly  ## collect every open day and publish (DATE=2025-03-03 for another night)
	@$(BIN)/paperfeed nightly $(if $(DATE),--date $(DATE)) --days $(LAST_DAYS)

backfill: .venv/nightly  ## collect a range of days (FROM=2025-03-03 TO=2025-03-14)
	@$(BIN)/paperfeed backfill --from "$(FROM)" --to "$(TO)"

index: .venv/nightly  ## publish a snapshot of the catalogue as it is
	@$(BIN)/paperfeed index

related: .venv/nightly  ## the Related Papers block for a question (Q="how do I ...?")
	@$(BIN)/paperfeed related "$(Q)"

schedule: .venv/nightly  ## stay, and run every night at 00:40 New York time
	@$(BIN)/python -m flows.schedule

test: .venv/dev  ## the whole suite, on loopback only
	@$(BIN)/python -m pytest

properties: .venv/dev  ## what must hold for anything, with 10,000 examples each (half an hour)
	@$(BIN)/python -m pytest --hypothesis-profile thorough -m hypothesis \
		$(addprefix tests/test_,$(addsuffix .py,$(PROPERTIES)))

PROPERTIES := merge ledger announcements calendar ids links huggingface saved_listing arxiv_api \
	arxiv_catchup arxiv_feed oai github bulk raw

bench: .venv/bench  ## speed and quality beside peers, small (FULL=1: whole, written into benchmarks/)
	@$(BIN)/python -m benchmarks.embed $(if $(FULL),--write,--limit 128 --rounds 2)
	@$(BIN)/python -m benchmarks.query $(if $(FULL),--rounds 3 --write,--limit 5000 --questions 50)
	@$(BIN)/python -m benchmarks.scale $(if $(FULL),--write,--limit 5000 --questions 50 --sizes 2000,10000)
	@$(BIN)/python -m benchmarks.publish $(if $(FULL),--write,--limit 5000 --papers 5000 --changed 100)
	@$(if $(FULL),$(BIN)/python -m benchmarks.ingest)

lint: .venv/dev  ## ruff and mypy, strict
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

clean:  ## remove .venv, caches and the demo's data; your own data stays
	@rm -rf .venv data/demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Bytecode is left to the first import of each module: that halves the time of installing.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -q \
	--no-compile -c .ci/constraints.txt -e

.venv/nightly: pyproject.toml .ci/constraints.txt
	@test -n "$(PYTHON)" || { echo "paperfeed needs Python 3.11, 3.12 or 3.13: install one, or say" \
		" make PYTHON=/path/to/python"; exit 1; }
	@echo "installing into .venv (a minute or two the first time) ..."
	@$(PYTHON) -m venv .venv
	@$(INSTALL) '.[nightly]'
	@touch $@

.venv/bench: .venv/dev
	@echo "adding the peers to measure beside ..."
	@$(INSTALL) '.[bench]'
	@touch $@

.venv/dev: .venv/nightly
	@echo "adding what tests and lint need ..."
	@$(INSTALL) '.[dev]'
	@touch $@

.PHONY: help demo setup nightly backfill index related schedule test properties bench lint clean
