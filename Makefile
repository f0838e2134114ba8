# `make demo` and `make test` need Python 3.11+, git and the package registry; they set up the rest in .venv.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test soak lint clean

demo: $(STAMP)
	$(BIN)/rowcall demo rowcall-demo

test: $(STAMP) lint
	$(BIN)/pytest

# Long runs of random kills: not part of CI.
soak: $(STAMP)
	$(BIN)/pytest -m soak --timeout 3600

lint: $(STAMP)
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	touch $@

clean:
	rm -rf .venv
