# The parts of `make check`, each in a process of its own. The Makefile runs them two at a time.

# Bottle has no types, and the examples use its decorators.
LAX := --allow-untyped-decorators --no-warn-return-any

.PHONY: all types library docs style tests
# The longest come first.
all: types library docs style tests

types:
	@echo "== mypy"
	@$(PYTHON_BIN) -m mypy incoming run.py tests bench
	@for app in examples/*/backend.py; do $(PYTHON_BIN) -m mypy $(LAX) $$app || exit 1; done

library:
	@echo "== tsc, and a rebuild of the JavaScript library"
	@npm run --silent check

docs:
	@echo "== mkdocs"
	@$(PYTHON_BIN) scripts/docs_site.py build/site

style:
	@echo "== ruff"
	@$(PYTHON_BIN) -m ruff check

# Compiles them once for all processes of pytest, too.
tests:
	@echo "== imports of the tests"
	@said=$$($(PYTHON_BIN) -m pytest --collect-only -q --disable-warnings 2>&1) || { echo "$$said"; exit 1; }
