# make sweep    set up and run the main job: real trials on real MNIST, with a live view (COUNT=4 AGENTS=2)
# make test     set up and run the tests
# make chaos    run the tests that kill or pause real programs (a quarter of an hour to an hour)
# make cluster-test  run jobs on a real Slurm cluster of three nodes, all on this machine (an hour)
# make conformance  run the server's tests with other versions of the wandb client, each in its own environment
# make lowest   run the tests with the lowest versions that pyproject.toml allows, in a separate environment
# make check    check format, lint, types and import contracts
PYTHON ?= python3
VENV ?= .venv
COUNT ?= 4
AGENTS ?= 2
SWEEP ?= sweeps/onecycle.yaml
BIN := $(VENV)/bin
MARKDOWN := README.md CHANGELOG.md docs

.PHONY: sweep test chaos cluster-test conformance lowest check format setup setup-dev

sweep: setup
	$(BIN)/mnist-sweep sweep $(SWEEP) --count $(COUNT) --agents $(AGENTS)

test: setup-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

chaos: setup-dev
	$(BIN)/python -m pytest -m chaos --timeout 3600 $(ARGS)

cluster-test: setup-dev
	$(BIN)/python -m scripts.slurm --install
	$(BIN)/python -m pytest -m cluster -v -s $(ARGS)

conformance: setup-dev
	$(BIN)/python -m pytest -m conformance --timeout 3600 tests/server $(ARGS)

lowest: setup-dev
	$(PYTHON) -m venv .venv-lowest
	$(BIN)/python -m scripts.lowest > .venv-lowest/constraints.txt
	.venv-lowest/bin/pip install --disable-pip-version-check -c .venv-lowest/constraints.txt -e ".[dev]"
	.venv-lowest/bin/python -m scripts.chromium
	.venv-lowest/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

check: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/mdformat --check $(MARKDOWN)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup-dev
	$(BIN)/ruff format .
	$(BIN)/mdformat $(MARKDOWN)
	$(BIN)/ruff check --fix .

setup: $(VENV)/.setup
setup-dev: $(VENV)/.setup-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.setup: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.setup-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(BIN)/python -m scripts.chromium
	touch $@ $(VENV)/.setup
