# Everything that a newcomer needs; `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help run test soak lint format lock clean
help:   ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile

run: .venv/run  ## install, migrate, and serve on http://localhost:8000 (PORT=… for another)
	$(BIN)/flask --app wsgi db upgrade
	exec $(BIN)/gunicorn wsgi:app

test: .venv/test  ## run the test suite, on SQLite and on PostgreSQL
	$(BIN)/python -m pytest $(ARGS)

soak: .venv/test  ## run the tests of crashes, faults and races for longer (SOAK=10 by default)
	SOAK=$(or $(SOAK),10) $(BIN)/python -m pytest --no-cov tests/test_races.py tests/test_model.py \
	    tests/test_crashes.py tests/test_faults.py

lint: .venv/test  ## check style, types and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/test  ## write the code as `make lint` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/test  ## renew the pinned dependencies from setup.cfg
	$(BIN)/uv pip compile -q setup.cfg --extra postgres --extra redis --universal --generate-hashes --upgrade \
	    --python-version 3.11 --no-annotate --custom-compile-command "make lock" -o requirements.lock
	$(BIN)/uv pip compile -q setup.cfg --extra postgres --extra redis --extra test --universal --generate-hashes --upgrade \
	    --python-version 3.11 --no-annotate --custom-compile-command "make lock" -c requirements.lock -o requirements-test.lock

clean:  ## remove what was installed and made; users and keys in instance/ stay
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage* build *.egg-info
	find . -name __pycache__ -type d -exec rm -rf {} +

.venv/run: requirements.lock
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch .venv/run

.venv/test: requirements-test.lock .venv/run
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.lock
	touch .venv/test
