# The commands people run are the commands CI runs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup train test quick check format docs bench lock clean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "hazardrank needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(INSTALLED) ## Make .venv and install the pinned lock

train: $(INSTALLED) ## Train on the built-in simulated district and map its contamination likelihood
	$(BIN)/python -m train $(ARGS)

test: $(INSTALLED) ## Run every test
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

quick: $(INSTALLED) ## Run the tests without the slow ones
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

check: $(INSTALLED) ## Lint, formatting, types and the layers of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## Rewrite docs/configuration.md from the settings
	$(BIN)/python -m hazardrank.reporting.configuration_reference docs/configuration.md

bench: $(INSTALLED) ## Measure cells per second and memory of each stage
	$(BIN)/python -m benchmarks $(ARGS)

lock: $(INSTALLED) ## Pin the newest versions that fit pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-header --upgrade --quiet --output-file requirements.lock

clean: ## Remove what the commands made (not .venv)
	rm -rf outputs dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
