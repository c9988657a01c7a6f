# The commands for development; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
SERVER ?= gunicorn
SERVE_WITH_gunicorn := gunicorn wsgi:app
SERVE_WITH_granian := python -m deploy.granian_server
LOCK := $(BIN)/uv pip compile -q setup.cfg --extra postgres --extra redis --extra granian \
    --extra argon2 --universal --generate-hashes --upgrade --python-version 3.11 --no-annotate \
    --custom-compile-command "make lock"

export FLASK_SKIP_DOTENV := 1# PyCoder reads .env itself, and reports in one line if it cannot

.PHONY: help run test test-quick soak bench lint format declarations lock clean
help:   ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

run: .venv/run  ## install, migrate, and serve on http://localhost:8000 (PORT=8123, SERVER=granian)
	$(BIN)/flask --app wsgi db upgrade
	exec $(BIN)/$(SERVE_WITH_$(SERVER))

PYTEST := pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)
QUICK_TESTS := -m "not untraced" -k "not postgresql" -n 2 tests/unit tests/flows $(wildcard tests/test_*.py)
test test-quick: export PYTHONDONTWRITEBYTECODE =# pytest keeps its compiled tests even if the user sets this
test: .venv/test .venv/tools  ## run all tests, on SQLite and PostgreSQL (COVERAGE=1 measures coverage)
ifdef COVERAGE
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
else
	$(BIN)/python -m $(PYTEST)
endif

test-quick: .venv/test  ## run the short tests of unit/ and flows/ on SQLite, in about a minute
	$(BIN)/python -m $(PYTEST) $(QUICK_TESTS)

soak: .venv/test .venv/tools  ## repeat the tests of crashes, faults and races (SOAK=10 by default)
	SOAK=$(or $(SOAK),10) $(BIN)/python -m pytest tests/servers/races \
	    tests/servers/test_crashes.py tests/servers/test_postgresql_faults.py \
	    tests/servers/test_sqlite_faults.py tests/servers/test_deploy.py \
	    tests/servers/test_nodes.py tests/flows/sessions/test_model.py \
	    tests/flows/sessions/test_pruning.py tests/browser/test_tabs.py

bench: .venv/run  ## compare with other systems (QUICK=1: three minutes, ONLY=pycoder,floor: some)
	$(PYTHON) -m benchmarks.install
	benchmarks/.venvs/tools/bin/python -m benchmarks

lint: .venv/test  ## check style, types and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/test  ## format the code, and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

declarations: .venv/tools  ## regenerate the type declarations of the JavaScript client
	rm -f pycoder/web/static/client/*.d.ts # else one module is checked against the old types of the other
	cd tests/js && PATH="$(CURDIR)/$(BIN):$$PATH" node_modules/.bin/tsc --project declarations.json \
	    --outDir ../../build/types
	cp build/types/*.d.ts pycoder/web/static/client/

lock: .venv/test  ## update the pinned dependencies from setup.cfg
	$(LOCK) -o requirements.lock
	$(LOCK) --extra test -c requirements.lock -o requirements-test.lock

clean:  ## delete installed and generated files, but not instance/ (users and keys)
	rm -rf .venv tests/js/node_modules .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage* build *.egg-info
	find . -name __pycache__ -type d -exec rm -rf {} +

PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps
INSTALL := $(PIP) --require-hashes
INSTALL_PYCODER := $(PIP) --no-build-isolation --editable .  # for the metadata, which contains the version
.venv/run: requirements.lock setup.cfg
	test -d .venv || $(PYTHON) -m venv .venv
	$(INSTALL) -r requirements.lock
	$(INSTALL_PYCODER)
	touch .venv/run

.venv/test: requirements.lock requirements-test.lock setup.cfg  # requirements-test.lock includes requirements.lock
	test -d .venv || $(PYTHON) -m venv .venv
	$(INSTALL) -r requirements-test.lock
	$(INSTALL_PYCODER)
	touch .venv/run .venv/test

.venv/tools: .venv/test tests/js/package-lock.json tests/support/tools.py  # Chromium, npm packages, PgBouncer
	$(BIN)/python -m tests.support.tools
	touch .venv/tools
