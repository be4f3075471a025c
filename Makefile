# Every task for this tree. Each target installs what it needs, once. Stamp files in .venv and node_modules
# record that, so a second run starts at once and needs no network.

VENV   := .venv
PYTHON_BIN := $(VENV)/bin/python
ARGS   :=
# How many test files run at the same time. Most wait for processes: with four, two cores are idle for a tenth of the time.
JOBS   := 5
# Servers that tests start would compile the package each time, where the environment forbids Python to keep that.
export PYTHONDONTWRITEBYTECODE :=
# What `make yesterday` compares with: the last tag, or where there is none, the newest commit of the day before.
REVISION = $(shell git describe --tags --abbrev=0 2>/dev/null || git rev-list -1 --before=midnight HEAD)

# A run records what it tried in a file, and writes it into docs/explanation/reliability.md if all tests pass.
NOTES  = tests/artifacts/$@.jsonl
NOTING = INCOMING_TEST_TALLY=$(CURDIR)/$(NOTES)
NOTED  = mkdir -p $(dir $(NOTES)) && rm -f $(NOTES) && $(NOTING)
SHOWN  = $(PYTHON_BIN) -m tests.support.reliability $@ $(NOTES)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help run test clients check docs library gallery stopwatch faults faults-scale ceph attacks soak engines frameworks bundlers yesterday net chaos bench bench-quick image release operators pythons platforms clean browser node nginx haproxy apache php redis radosgw prometheus logrotate

help: ## Lists what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## Starts the server and the example apps, and prints the address to open
	@$(PYTHON_BIN) run.py --examples $(ARGS)

test: browser nginx haproxy apache php redis $(VENV)/.installed-servers check ## Installs what the tests need, checks the code, and runs all tests
	@echo "== pytest"
	@$(PYTHON_BIN) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --timeout 300 $(ARGS)

clients: browser nginx haproxy apache $(VENV)/.installed-dev node_modules/.installed ## Uploads over HTTP with clients of others, and each mistake of a proxy, the whole matrix
	@$(NOTED) INCOMING_TEST_CLIENTS=all INCOMING_TEST_ENGINES=chromium,firefox,webkit \
		$(PYTHON_BIN) -m pytest -n $(JOBS) --dist loadfile tests/clients tests/e2e/test_forms.py tests/hosts/test_doctor_proxies.py $(ARGS)
	@$(SHOWN)

check: $(VENV)/.installed-dev node_modules/.installed ## Checks style, types, the built library and the links of the docs, and runs nothing
	@$(MAKE) --no-print-directory --jobs 2 --output-sync --file scripts/check.mk PYTHON_BIN=$(PYTHON_BIN)

docs: $(VENV)/.installed-dev ## Builds the site with the docs in build/site, in a folder of its version; a broken link fails
	@$(MAKE) --no-print-directory --file scripts/check.mk PYTHON_BIN=$(PYTHON_BIN) docs

library: node_modules/.installed ## Builds the JavaScript library from static/src
	@npm run --silent build

gallery: $(VENV)/.installed-test browser node_modules/.installed ## Takes the pictures of docs/gallery.md anew
	@$(PYTHON_BIN) -m pytest tests/e2e/docs_pictures.py $(ARGS)

stopwatch: browser php nginx redis $(VENV)/.installed-dev node_modules/.installed ## Follows the pages of web frameworks and of two servers in an empty folder with the wheel alone, and takes the time
	@$(PYTHON_BIN) -m pytest -q tests/recipes/stopwatch.py $(ARGS)

faults: $(VENV)/.installed-test $(VENV)/.installed-servers ## Tests over a thousand kills, power cuts and disk errors, and compares every byte
	@$(NOTED) INCOMING_TEST_KILLS=50 INCOMING_TEST_LOST_MIB=1024 INCOMING_TEST_RESTARTS=10 INCOMING_TEST_ROUNDS=10 \
	INCOMING_TEST_POINT_KILLS=1200 INCOMING_TEST_CUTS=500 INCOMING_TEST_DISK_ERRORS=1000 INCOMING_TEST_MODEL_STEPS=10000 INCOMING_TEST_TICKETS=200000 INCOMING_TEST_MIXED=1000 INCOMING_TEST_FOLDERS=100 \
	$(PYTHON_BIN) -m pytest tests/faults tests/storage/local/folders/test_kills.py $(ARGS)
	@$(SHOWN)

faults-scale: redis nginx browser $(VENV)/.installed-test $(VENV)/.installed-servers ## Tries 300 uploads over three servers while each of them, Redis and the S3 server are killed, and one of 20 GiB
	@$(NOTED) INCOMING_TEST_SCALE=$${INCOMING_TEST_SCALE:-300} INCOMING_TEST_LONG_GIB=20 $(PYTHON_BIN) -m pytest -s tests/faults/test_scale.py tests/faults/test_rolling_updates.py tests/faults/test_long_upload.py tests/faults/test_s3_folders.py tests/faults/test_s3_folder_outages.py tests/faults/test_deletion_kills.py $(ARGS)
	@$(PYTHON_BIN) -m tests.support.reliability faults $(NOTES) add

ceph: radosgw redis browser $(VENV)/.installed-servers ## Runs each test that needs an S3 server with Ceph, in a cluster of its own
	@INCOMING_TEST_S3=ceph $(PYTHON_BIN) -m pytest -n 2 --dist loadfile --timeout 600 $(ARGS)

soak: $(VENV)/.installed-test ## Runs one server under mixed load for half an hour, and checks for leaks
	@$(NOTED) INCOMING_TEST_SOAK_S=$${INCOMING_TEST_SOAK_S:-1800} $(PYTHON_BIN) -m pytest -s tests/faults/test_soak.py $(ARGS)
	@$(SHOWN)

attacks: browser nginx $(VENV)/.installed-attacks node_modules/.installed ## Attacks the server: fuzzing (ten minutes each), Autobahn, schemathesis, audits
	@bash scripts/install-autobahn.sh $(VENV)/autobahn
	@$(NOTED) INCOMING_TEST_FUZZ_S=$${INCOMING_TEST_FUZZ_S:-600} \
		$(PYTHON_BIN) -m pytest -n 2 --dist worksteal tests/security/test_fuzz.py $(ARGS)
	@$(NOTING) INCOMING_TEST_ATTACKS=10 $(PYTHON_BIN) -m pytest tests/security --ignore tests/security/test_fuzz.py $(ARGS)
	@$(SHOWN)

engines: $(VENV)/.installed-test browser node_modules/.installed ## Runs all tests of the pages in Chromium, Firefox and WebKit
	@INCOMING_TEST_ENGINES=chromium,firefox,webkit $(PYTHON_BIN) -m pytest tests/e2e tests/static/test_incoming_js_in_chromium.py $(ARGS)

bundlers: $(VENV)/.installed-test browser node_modules/.installed ## Builds apps with esbuild, webpack, Rollup and Vite, with their usual options, and uploads with each
	@INCOMING_TEST_BUNDLERS=all $(PYTHON_BIN) -m pytest tests/static/test_bundlers.py $(ARGS)

yesterday: $(VENV)/.installed-test browser ## Uploads with the library of the last release to this server, and the other way round (REVISION=...)
	@INCOMING_TEST_ENGINES=chromium,firefox,webkit INCOMING_TEST_YESTERDAY=$(REVISION) $(PYTHON_BIN) -m pytest tests/e2e/test_yesterday.py $(ARGS)

frameworks: $(VENV)/.installed-test browser node_modules/.installed ## Runs the apps with React, Vue, Svelte and Uppy in Chromium, Firefox and WebKit
	@INCOMING_TEST_ENGINES=chromium,firefox,webkit $(PYTHON_BIN) -m pytest tests/e2e/test_frameworks.py tests/e2e/test_uppy.py tests/e2e/test_readme_react.py $(ARGS)

net: $(VENV)/.installed-test $(VENV)/.installed-servers browser nginx redis ## Uploads over emulated links: 1 Gbit/s at 100 ms, 2 Mbit/s, packet loss, a pulled cable (as root)
	@INCOMING_TEST_NET=full $(PYTHON_BIN) -m pytest -s tests/net $(ARGS)

chaos: $(VENV)/.installed-test browser ## Uploads for ten minutes through a proxy that cuts, freezes and corrupts connections
	@INCOMING_TEST_CHAOS_S=600 $(PYTHON_BIN) -m pytest -s tests/faults/test_chaos.py $(ARGS)

bench: $(VENV)/.installed-test bench/.venv/.installed nginx node ## Measures this server and alternatives; an hour
	@$(PYTHON_BIN) -m bench $(ARGS)

bench-quick: $(VENV)/.installed-test ## Compares the current speed with the recorded one, in under a minute
	@$(PYTHON_BIN) -m bench.quick $(ARGS)

image: $(VENV)/.installed-servers nginx redis ## Builds the image with buildah, and runs it and both compose files without an engine (as root)
	@bash scripts/build-image.sh build/image
	@INCOMING_TEST_IMAGE=$(CURDIR)/build/image $(PYTHON_BIN) -m pytest -s tests/hosts/test_image.py $(ARGS)

release: $(VENV)/.installed-release node_modules/.installed ## Builds in dist/ all that a release publishes, and checks it; publishes nothing
	@bash scripts/release.sh $(PYTHON_BIN)

operators: $(VENV)/.installed-test prometheus logrotate ## Runs the files for operators for real: Prometheus, its alerts, the rotation of a log
	@INCOMING_TEST_OPERATORS=yes $(PYTHON_BIN) -m pytest tests/hosts/test_monitoring.py tests/hosts/test_deploy.py tests/how_to/test_backup.py $(ARGS)

pythons: $(VENV)/.installed-test ## Installs the wheel on each Python from 3.11 on that is here, and uploads as a user without rights
	@INCOMING_TEST_PYTHONS=yes $(PYTHON_BIN) -m pytest -rs tests/test_pythons.py $(ARGS)

platforms: $(VENV)/.installed ## Asks the package index for wheels for glibc and musl, x86-64 and arm64, Python 3.11 to 3.14
	@$(PYTHON_BIN) scripts/platforms.py

clean: ## Removes everything that make installed or built, but no uploads
	rm -rf $(VENV) node_modules build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/artifacts

browser node nginx haproxy apache php redis radosgw prometheus logrotate:
	@bash scripts/install-test-tools.sh $@

$(VENV)/.installed: requirements.txt scripts/make-venv.sh
	@bash scripts/make-venv.sh $(VENV) requirements.txt
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed requirements-test.txt
	@bash scripts/make-venv.sh $(VENV) requirements-test.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-test requirements-dev.txt
	@bash scripts/make-venv.sh $(VENV) requirements-dev.txt
	@touch $@

$(VENV)/.installed-servers: $(VENV)/.installed-test requirements-servers.txt
	@bash scripts/make-venv.sh $(VENV) requirements-servers.txt
	@touch $@

$(VENV)/.installed-release: $(VENV)/.installed-dev requirements-release.txt
	@bash scripts/make-venv.sh $(VENV) requirements-release.txt
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
