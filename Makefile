# Everything lives in .venv; nothing is installed outside this folder. A new machine needs Python 3.11 or newer, make and git.

# The first of these that is new enough; asked only when the environment is made.
PYTHON ?= $(firstword $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p; done) none)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The locks are whole, so pip has nothing to resolve and no build environment to make.
INSTALL := $(PIP) install --no-deps

.DEFAULT_GOAL := help
.PHONY: help demo test scenarios soak dev-cluster demo-cluster e2e kind lint-manifests bench lint types imports generated lock migration setup clean

help:  ## what there is
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-14s %s\n", $$1, $$2}'

# --- the environment -------------------------------------------------------------------------------------------------

$(BIN)/python:
	@test "$(PYTHON)" != none || { echo "Trueup needs Python 3.11 or newer. If it is not on PATH: make PYTHON=/path/to/python ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing: install it (Debian: python3-venv)." >&2; exit 1; }

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "installing what Trueup runs on (once)" >&2
	@$(INSTALL) -r requirements/runtime.txt
	@$(INSTALL) --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q controller  # a start is three times as long without, and some machines forbid Python to do it by itself
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	@echo "installing what its tests need (once)" >&2
	@$(INSTALL) -r requirements/dev.txt
	@touch $@

setup: $(VENV)/.dev  ## everything that the other targets need

# --- for users -------------------------------------------------------------------------------------------------------

demo: $(VENV)/.runtime  ## a minute with phantoms: delete, rename, edit, and see what an agent still gets
	@$(BIN)/trueup models install || echo "No embedding model could be installed: the demo searches by words alone." >&2
	@$(BIN)/python -m trueup.surfaces.cli.demo

test: $(VENV)/.dev  ## every test but the long ones
	@$(BIN)/python -m pytest

dev-cluster: $(VENV)/.dev  ## a Kubernetes API with operator and gate in it, without Docker, until Ctrl-C
	@$(BIN)/python -m tests.controlplane.dev

demo-cluster: $(VENV)/.dev  ## the main job with kubectl on such a cluster: apply, watch, ask, delete, gone
	@$(BIN)/python -m tests.controlplane.demo

e2e: $(VENV)/.dev  ## the same with pods, on a cluster of yours: make e2e KUBECONFIG=... IMAGE=... [E2E=--dry-run]
	@$(BIN)/python -m tests.e2e --kubeconfig "$(KUBECONFIG)" --image "$(IMAGE)" $(E2E)

kind: $(VENV)/.dev  ## build the image, make a cluster of it in Docker, and run e2e there (KEEP=1 keeps the cluster)
	@$(BIN)/python -m tests.e2e.kind --image "$(or $(IMAGE),trueup:0.1.0)" $(if $(KEEP),--keep)

scenarios: $(VENV)/.dev  ## the promises tried from outside, with faults; a table (SCENARIOS="P01 P30 --json out.json")
	@$(BIN)/python -m tests.scenarios $(SCENARIOS)

soak: $(VENV)/.dev  ## random mutations, faults and kills, every answer checked: make soak MINUTES=20
	@$(BIN)/python -m tests.scenarios.soak $(or $(MINUTES),5) $(SOAK)

bench: $(VENV)/.dev  ## Trueup and its peers on one corpus: a table, and JSON beside it
	@$(BIN)/python benchmarks/run.py $(BENCH)

# --- for contributors ------------------------------------------------------------------------------------------------

lint: $(VENV)/.dev  ## ruff: rules and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(VENV)/.dev  ## mypy --strict
	@$(BIN)/mypy

imports: $(VENV)/.dev  ## the layers, and one importer for each client library
	@$(BIN)/lint-imports

generated: $(VENV)/.dev  ## the committed files that are made from code are what the code makes
	@$(BIN)/python -m trueup.model.crd --check crds

migration: $(VENV)/.dev  ## write the next migration from the difference between schema.py and the last one: make migration NAME=what_it_does
	@$(BIN)/python -m trueup.catalog.migrations $(NAME)

lock: | $(BIN)/python  ## pin the newest versions that pyproject.toml allows
	@$(INSTALL) "uv==0.13.9"
	@$(COMPILE) --extra model --upgrade --output-file requirements/runtime.txt
	@$(COMPILE) --all-extras --upgrade --constraint requirements/runtime.txt --output-file requirements/cluster.txt
	@$(COMPILE) --all-extras --group dev --upgrade --constraint requirements/cluster.txt --output-file requirements/dev.txt
COMPILE := $(BIN)/uv pip compile pyproject.toml --group build --universal --python-version 3.11 --quiet --no-header --no-annotate --no-emit-index-url

LINT_VENV := .venv-lint
$(LINT_VENV)/.done: requirements/lint-manifests.in | $(BIN)/python
	@$(PYTHON) -m venv $(LINT_VENV)
	@$(LINT_VENV)/bin/python -m pip --disable-pip-version-check --quiet install -r requirements/lint-manifests.in
	@touch $@

lint-manifests: $(VENV)/.dev $(LINT_VENV)/.done  ## kubernetes-validate, checkov and hadolint; exceptions are explained where they are
	@$(BIN)/python -m tests.e2e.lint --programs $(LINT_VENV)/bin

clean:  ## remove what was built here (the caches too)
	@rm -rf $(VENV) .venv-peers $(LINT_VENV) .trueup-cluster .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .trueup-demo build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
