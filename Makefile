# Everything a person does with this project, as `make <word>`. What follows ## is what `make help` shows.
PYTHON ?= python3
UV_VERSION = 0.13.9
VENV = .venv
INSTALLED = $(VENV)/installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export NO_ALBUMENTATIONS_UPDATE = 1
.DEFAULT_GOAL := study
.PHONY: study install test test-trust bench weights check lock clean help

study: install ## Install, run what changed of the study, and show the results (plain `make`)
	@python -m stages
	@dvc repro
	@echo && sed -n '/^## Results/,/^## What/{/^|/p;}' metrics/report.md
	@echo && echo "All tables: metrics/report.md   The numbers: metrics/metrics.json, metrics/cost.json"

install: $(INSTALLED) ## Put the locked dependencies into .venv

$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "error: Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is another; try make PYTHON=python3.12"; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	command -v uv > /dev/null || python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	uv pip install --quiet --python $(VENV)/bin/python --require-hashes -r requirements.lock
	@touch $@

test: install ## Install and run the tests
	@OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile --ignore tests/trust

test-trust: install ## Run the tests of docs/trust.md: whole studies, interrupted, edited and shared
	@OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile tests/trust

bench: install ## Measure everything against what a user would take instead (40 minutes; leave the machine alone)
	uv pip install --quiet --python $(VENV)/bin/python --require-hashes -r requirements-bench.lock
	@python -m benchmarks

weights: install ## Keep a run's weights to start another study from: make weights RUN=own_cnn-tuned-augmented-1 NAME=birds
	@python -m stages.lib.export "$(RUN)" "$(NAME)"

check: install ## Check format and style (ruff) and types (mypy)
	@ruff format --check .
	@ruff check .
	@mypy

lock: install ## Write requirements.lock and requirements-bench.lock anew from pyproject.toml
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --all-extras --group dev \
		pyproject.toml --output-file requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --group bench \
		--constraint requirements.lock --output-file requirements-bench.lock

clean: ## Remove .venv, caches and what the study made (results in Git and in the remote stay, and data/downloads)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .dvc/cache .dvc/tmp
	find data -mindepth 1 -maxdepth 1 ! -name .gitignore ! -name pictures ! -name pretrained ! -name downloads -exec rm -rf {} +

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile
