# Targets that a person or CI calls; `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAST_FAILED := .pytest_cache/v/cache/lastfailed
export INKSTONE_HOME ?= .inkstone
export PYTHONDONTWRITEBYTECODE=
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo up test test-again test-long check deploy-check images-test kube-test reference shape bench \
	lock clean prometheus

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed ## install everything that the project needs into .venv

$(VENV)/.installed: requirements/local.lock requirements/bootstrap.txt tools/setup.sh pyproject.toml
	@PYTHON=$(PYTHON) VENV=$(VENV) bash tools/setup.sh

demo: setup ## run the main job: documents in, cited answers in two voices, a live adapter swap
	@$(BIN)/inkstone demo

up: setup ## run the whole stack on this machine until Ctrl-C
	@$(BIN)/inkstone up

check: setup ## lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

prometheus: setup ## fetch the prometheus and promtool that the tests of dashboards and alerts run
	@VENV=$(VENV) bash tools/prometheus.sh

test: setup prometheus ## unit, service and system tests
	@# Engines take both cores and most of the memory: what needs one comes alone, after the rest.
	@# Only 1 says that all ran and some failed; after anything else there is nothing to run again.
	@failed=0; \
	ended() { [ $$1 -eq 1 ] || { rm -f $(LAST_FAILED); exit $$1; }; failed=1; }; \
	$(BIN)/pytest -m "not long" -n 2 --dist loadfile --durations=10 tests/unit tests/service || ended $$?; \
	$(BIN)/pytest -m "not long" --durations=10 tests/system || ended $$?; \
	exit $$failed

test-again: setup ## only what failed in the last `make test`
	@echo "What failed is run once more; it should be mended also where it passes now:"
	$(BIN)/pytest -m "not long" --last-failed --last-failed-no-failures none

test-long: setup ## the long campaigns: kills, chaos, soak
	$(BIN)/pytest -m long

deploy-check: setup ## other people's rules on deploy/: policies, custom resources, compose
	@VENV=$(VENV) bash tools/deploy_check.sh

images-test: setup ## build the CPU images without Docker, run the stack from them, ask it a question
	@VENV=$(VENV) bash tools/images_test.sh

kube-test: setup ## play the small overlay with podman, from the built images, ask it a question
	@VENV=$(VENV) bash tools/kube_test.sh

reference: setup ## write what comes from the code: pages of docs/, dashboards, alerts
	$(BIN)/python tools/reference.py

shape: setup ## print the shape of the code beside the shape we aim at
	@$(BIN)/python tools/shape.py

bench: setup ## every benchmark, side by side with its peer
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

lock: setup ## resolve the dependencies anew and pin them
	@VENV=$(VENV) bash tools/lock.sh

clean: ## remove the environment and all local state
	rm -rf $(VENV) $(INKSTONE_HOME) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
