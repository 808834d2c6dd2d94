PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# uv is a good deal faster; without it, pip does the same.
UV := $(shell command -v uv)
# `make lock` cannot do without uv and fetches it when there is none.
OWN_UV := .cache/uv
LOCK_OPTIONS := --generate-hashes --python-version 3.11 --universal --group build \
	--no-emit-index-url --no-emit-find-links --no-header --quiet $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help run test check format faults bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/installed ## Make the example's pictures; needs no key
	$(BIN)/darkroom run examples/prompts.csv --out pictures --yes

test: $(VENV)/installed-dev ## Everything that CI checks
	$(if $(CI),scripts/install_browser)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --durations 30 --durations-min 3

check: $(VENV)/installed-dev ## The same, but only the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 tests/unit tests/test_*.py

faults: $(VENV)/installed-dev ## Hurt a running system and audit it; LONG=1 with many more jobs
	$(BIN)/python -m tests.faults $(if $(LONG),--long)

bench: $(VENV)/installed-dev ## Measure the speeds; ONLY=engine for one, QUICK=1 for a short run
	$(BIN)/python -m bench $(ONLY) $(if $(QUICK),--quick) $(if $(JSON),--json $(JSON))

format: $(VENV)/installed-dev ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(if $(UV),,$(OWN_UV)) ## Write both locks anew; UPGRADE=--upgrade for newer versions
	$(or $(UV),$(OWN_UV)/bin/uv) pip compile pyproject.toml $(LOCK_OPTIONS) -o requirements.lock
	$(or $(UV),$(OWN_UV)/bin/uv) pip compile pyproject.toml $(LOCK_OPTIONS) --extra dev \
		-c requirements.lock -o requirements-dev.lock

clean: ## Forget the virtual environment and the caches
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build *.egg-info

# What is installed for development also does for running.
$(VENV)/installed: requirements.lock
	$(call install,requirements.lock)
	touch $@

$(VENV)/installed-dev: requirements-dev.lock
	$(call install,requirements-dev.lock)
	touch $(VENV)/installed $@

$(OWN_UV):
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet uv

# Only what the lock names gets in, each file by its hash; Darkroom itself is linked, not copied.
define install
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Darkroom needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2; exit 1; }
$(PYTHON) -m venv --clear $(VENV)
$(INSTALL) --require-hashes -r $(1)
$(INSTALL) --no-deps --no-build-isolation --editable .
endef

INSTALL := $(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check)
