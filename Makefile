# `make demo`, `make test` and `make bench` need Python 3.11+, git and the package registry; they set up the rest in .venv.
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test soak bench lint clean chromium

demo: $(STAMP)
	$(BIN)/rowcall demo rowcall-demo

# Files side by side, one per core: each process has servers of its own.
test: $(STAMP) lint chromium
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

# The report's page is opened in a real browser. Root installs one where there is none; elsewhere those tests are skipped
# and say so.
chromium:
	@if command -v chromium && command -v chromedriver; then :; \
	elif test "$$(id -u)" = 0 && command -v apt-get; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver; \
	else echo "no chromium and no way to install it: the tests of the page in a browser will be skipped"; fi

# About an hour; BENCH="--repeat 1 --only floor,rowcall" measures less.
bench: $(STAMP)
	$(BIN)/python -m bench $(BENCH)
	$(BIN)/python -m bench.page

# Long runs of random kills: not part of CI.
soak: $(STAMP)
	$(BIN)/pytest -m soak --timeout 3600

lint: $(STAMP)
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/mypy

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	touch $@

clean:
	rm -rf .venv bench/.peers bench/.work
