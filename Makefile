# Every task for this tree. Each target installs what it needs, once. Stamp files in .venv and node_modules
# record that, so a second run starts at once and needs no network.

VENV   := .venv
PYTHON_BIN := $(VENV)/bin/python
ARGS   :=
# How many test files run at the same time. With three on two cores, WebKit comes close to the tests' timeouts.
JOBS   := 2
# Bottle has no types, and the examples use its decorators.
LAX    := --allow-untyped-decorators --no-warn-return-any

# A run records what it tried in a file, and writes it into docs/explanation/reliability.md if all tests pass.
NOTES  = tests/artifacts/$@.jsonl
NOTING = INCOMING_TEST_TALLY=$(CURDIR)/$(NOTES)
NOTED  = mkdir -p $(dir $(NOTES)) && rm -f $(NOTES) && $(NOTING)
SHOWN  = $(PYTHON_BIN) -m tests.support.reliability $@ $(NOTES)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help run test clients check docs library faults attacks soak engines net chaos bench bench-quick clean browser node nginx php

help: ## Lists what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## Starts the server and the example apps, and prints their addresses
	@$(PYTHON_BIN) run.py --examples $(ARGS)

test: browser nginx php check ## Installs what the tests need, checks the code, and runs all tests
	@echo "== pytest"
	@$(PYTHON_BIN) -m pytest -n $(JOBS) --dist loadfile --timeout 180 $(ARGS)

clients: browser nginx $(VENV)/.installed-dev node_modules/.installed ## Uploads over HTTP with clients of others, the whole matrix
	@INCOMING_TEST_CLIENTS=all INCOMING_TEST_ENGINES=chromium,firefox,webkit \
		$(PYTHON_BIN) -m pytest -n $(JOBS) --dist loadfile tests/clients tests/e2e/test_forms.py $(ARGS)

check: docs node_modules/.installed ## Checks style, types, the built library and the links of the docs, and runs nothing
	@echo "== ruff"
	@$(PYTHON_BIN) -m ruff check
	@echo "== mypy"
	@$(PYTHON_BIN) -m mypy incoming run.py tests bench
	@for app in examples/*/backend.py; do $(PYTHON_BIN) -m mypy $(LAX) $$app || exit 1; done
	@echo "== tsc, and a rebuild of the JavaScript library"
	@npm run --silent check

docs: $(VENV)/.installed-dev ## Builds the site with the docs in build/site; a broken link fails
	@echo "== mkdocs"
	@NO_MKDOCS_2_WARNING=1 $(PYTHON_BIN) -m mkdocs build --strict

library: node_modules/.installed ## Builds the JavaScript library from static/src
	@npm run --silent build

faults: $(VENV)/.installed ## Tests over a thousand kills, power cuts and disk errors, and compares every byte
	@$(NOTED) INCOMING_TEST_KILLS=50 INCOMING_TEST_LOST_MIB=1024 INCOMING_TEST_RESTARTS=10 INCOMING_TEST_ROUNDS=10 \
	INCOMING_TEST_POINT_KILLS=1200 INCOMING_TEST_CUTS=500 INCOMING_TEST_DISK_ERRORS=1000 INCOMING_TEST_MODEL_STEPS=10000 INCOMING_TEST_TICKETS=200000 INCOMING_TEST_MIXED=1000 \
	$(PYTHON_BIN) -m pytest tests/faults $(ARGS)
	@$(SHOWN)

soak: $(VENV)/.installed ## Runs one server under mixed load for half an hour, and checks for leaks
	@$(NOTED) INCOMING_TEST_SOAK_S=$${INCOMING_TEST_SOAK_S:-1800} $(PYTHON_BIN) -m pytest -s tests/faults/test_soak.py $(ARGS)
	@$(SHOWN)

attacks: browser nginx $(VENV)/.installed-attacks node_modules/.installed ## Attacks the server: fuzzing (ten minutes each), Autobahn, schemathesis, audits
	@bash scripts/install-autobahn.sh $(VENV)/autobahn
	@$(NOTED) INCOMING_TEST_FUZZ_S=$${INCOMING_TEST_FUZZ_S:-600} \
		$(PYTHON_BIN) -m pytest -n $(JOBS) --dist worksteal tests/security/test_fuzz.py $(ARGS)
	@$(NOTING) INCOMING_TEST_ATTACKS=10 $(PYTHON_BIN) -m pytest tests/security --ignore tests/security/test_fuzz.py $(ARGS)
	@$(SHOWN)

engines: $(VENV)/.installed browser ## Runs all tests of the pages in Chromium, Firefox and WebKit
	@INCOMING_TEST_ENGINES=chromium,firefox,webkit $(PYTHON_BIN) -m pytest tests/e2e $(ARGS)

net: $(VENV)/.installed browser ## Uploads over emulated links: 1 Gbit/s at 100 ms, 2 Mbit/s, packet loss (as root)
	@INCOMING_TEST_NET=full $(PYTHON_BIN) -m pytest -s tests/net $(ARGS)

chaos: $(VENV)/.installed browser ## Uploads for ten minutes through a proxy that cuts, freezes and corrupts connections
	@INCOMING_TEST_CHAOS_S=600 $(PYTHON_BIN) -m pytest -s tests/faults/test_chaos.py $(ARGS)

bench: $(VENV)/.installed bench/.venv/.installed nginx node ## Measures this server and alternatives; half an hour
	@$(PYTHON_BIN) -m bench $(ARGS)

bench-quick: $(VENV)/.installed ## Compares the current speed with the recorded one, in under a minute
	@$(PYTHON_BIN) -m bench.quick $(ARGS)

clean: ## Removes everything that make installed or built, but no uploads
	rm -rf $(VENV) node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/artifacts

browser node nginx php:
	@bash scripts/install-test-tools.sh $@

$(VENV)/.installed: requirements.txt scripts/make-venv.sh
	@echo "Installing into $(VENV) ..."
	@bash scripts/make-venv.sh $(VENV) requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@bash scripts/make-venv.sh $(VENV) requirements-dev.txt
	@touch $@

$(VENV)/.installed-attacks: $(VENV)/.installed-dev requirements-attacks.txt
	@bash scripts/make-venv.sh $(VENV) requirements-attacks.txt
	@touch $@

bench/.venv/.installed: bench/requirements.txt bench/rivals/package-lock.json | node
	@echo "Installing what is compared with into bench ..."
	@bash scripts/make-venv.sh bench/.venv bench/requirements.txt
	@cd bench/rivals && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

node_modules/.installed: package.json package-lock.json | node
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@
