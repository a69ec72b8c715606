# Everything a person does with this project, as `make <word>`. What follows ## is what `make help` shows.
PYTHON ?= python3
UV_VERSION = 0.13.9
GET_UV = install --quiet --disable-pip-version-check uv==$(UV_VERSION)
VENV = .venv
LOCKED = --quiet --universal --generate-hashes --no-emit-index-url
INSTALLED = $(VENV)/installed
FOR_TESTS = $(VENV)/installed-for-tests
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export NO_ALBUMENTATIONS_UPDATE = 1
# DVC asks for a name, which `docker run -u 1234` leaves without an answer
export USER := $(or $(USER),$(LOGNAME),$(shell id -un 2> /dev/null || id -u))
.DEFAULT_GOAL := study
MADE = raw original validation test augmented skipped.csv duplicates.csv composition.json settings weights features \
	hyperparameters trained checkpoints predictions report plots copies.parquet examples.parquet doubtful.csv insight
LOG = .dvc/tmp/study.log
CODE = stages dvc.yaml params.yaml requirements.lock
GIVEN = $(wildcard data/*.dvc data/pretrained/*/*.dvc)
.PHONY: study parallel pull install repository images test test-fast test-trust bench weights compare experiments plots labels \
	check lock upgrade clean help

study: repository install ## Install, run what changed of the study, and show the results (plain `make`)
	@options=$$(python -m stages.commands.check) && logged=$$(cksum $(LOG) 2>&1 || :) && \
		$(or $(RUN_BY),dvc repro -q $$options) && \
		{ [ "$$logged" != "$$(cksum $(LOG) 2>&1)" ] || echo "Nothing has changed since the last run: no stage ran."; }
	@echo && sed -n '3,/^## /{/^\*\*/p;/^- /p;}' metrics/report.md | tr -d '*'
	@echo && sed -n '/^## Results/,/^[[:alpha:]]/{/^|/p;}' metrics/report.md
	@echo && echo "To look at: data/report/index.html   All tables: metrics/report.md   Numbers: metrics/metrics.json, cost.json"
	@echo "What every stage has printed: $(LOG)"
	@echo "On photographs of your own: $(VENV)/bin/classify photo.jpg folder/"
	@echo "Code: $$(git rev-parse -q --verify --short HEAD || echo no commit), edited since: $$(git status --porcelain \
		-- $(CODE) | cut -c 4- | paste -s -d ' ' - | sed 's/^$$/nothing/')"

repository:
	@command -v git > /dev/null || { echo "error: git is needed, for DVC works with it; install it"; exit 1; }
	@said=$$(LC_ALL=C git rev-parse --git-dir 2>&1) || case "$$said" in \
		*"not a git repository"*) git init -q && echo "This folder was no Git repository, as a download \
	without history is none: now it is one, as DVC needs it. git add -A && git commit keeps what you do.";; \
		*) echo "$$said"; exit 1;; esac

install: $(INSTALLED) ## Put the locked dependencies into .venv

$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "error: Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is another; try make PYTHON=python3.12"; exit 1; }
	@echo "installing into $(VENV): 7 GB, some minutes without a line"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv --without-pip $(VENV)
	@command -v uv > /dev/null || $(PYTHON) -m pip --python $(VENV)/bin/python $(GET_UV) 2> /dev/null || \
		{ python -m ensurepip > /dev/null && python -m pip $(GET_UV); }
	@uv pip install --quiet --python $(VENV)/bin/python --require-hashes -r requirements.lock
	@uv pip install --quiet --python $(VENV)/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

$(FOR_TESTS): requirements-dev.lock $(INSTALLED)
	@uv pip install --quiet --python $(VENV)/bin/python --require-hashes -r requirements-dev.lock
	@touch $@

parallel: RUN_BY = python -m stages.commands.parallel "$(PROCESSES)" $$options
parallel: study ## The same, with trainings side by side, one a device or core: make parallel PROCESSES=4

pull: install ## Bring results from the remote, checked before they are put in place; RUN_CACHE=1: what stages computed ever
	@python -m stages.commands.pull $(if $(RUN_CACHE),run-cache)

test: $(FOR_TESTS) ## Install and run the tests; show how much of stages/ they have run
	@OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile --ignore tests/trust --cov --cov-report=term

test-fast: $(FOR_TESTS) ## Run the tests that start no program, for daily work (two minutes)
	@OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile --ignore tests/trust -m "not slow"

test-trust: $(FOR_TESTS) ## Run the tests of docs/trust.md: whole studies, interrupted, edited and shared
	@OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile tests/trust

bench: $(FOR_TESTS) ## Measure everything against what a user would take instead (40 minutes; leave the machine alone)
	uv pip install --quiet --python $(VENV)/bin/python --require-hashes -r requirements-bench.lock
	@python -m benchmarks all

images: repository install ## Give data/pictures to DVC: colleagues who pull have them, and so has `dvc exp run --temp`
	@ls data/pictures 2>&1 | grep -qvx -e README.md -e 'ls: .*' || \
		{ echo "error: data/pictures has no images to give to DVC; those of another folder stay where they are" >&2; exit 1; }
	@git rm -q --ignore-unmatch data/pictures/README.md
	@dvc add -q data/pictures
	@git add data/pictures.dvc data/.gitignore && echo "data/pictures.dvc stands for them in Git now, in the place of data/pictures/README.md: git commit"

weights: install ## Keep a run's weights to start another study from: make weights RUN=own_cnn-tuned-augmented-1 NAME=birds
	@python -m stages.commands.keep_weights "$(RUN)" "$(NAME)"

compare: install ## Put the study beside another one, of a Git revision: make compare WITH=birds-200
	@python -m stages.commands.compare "$(WITH)"

experiments: install ## Make a table of what `dvc exp run` has tried: the settings that differ, and accuracies
	@python -m stages.commands.experiments

plots: install ## Write DVC's plots as a page that needs no network; beside a branch's: make plots WITH=main
	@python -m stages.commands.plots $(WITH)

labels: install ## Make a table of the images, doubtful labels first, to decide on; dataset.folder.labels takes it back
	@python -m stages.commands.labels

check: $(FOR_TESTS) ## Check format and style (ruff), types (mypy) and what rooms import (import-linter)
	@ruff format --check .
	@ruff check .
	@mypy
	@lint-imports

lock: install ## Bring the lock files up to pyproject.toml: what it names anew is added, what it lacks is removed
	uv pip compile $(LOCKED) --all-extras pyproject.toml --output-file requirements.lock
	uv pip compile $(LOCKED) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	uv pip compile $(LOCKED) --group bench --constraint requirements.lock --constraint requirements-dev.lock \
		--output-file requirements-bench.lock

upgrade: LOCKED += --upgrade
upgrade: lock ## The same, with the newest version of everything

clean: ## Remove .venv, caches and what the study made (results in Git and in the remote stay, and data/downloads)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .dvc/tmp $(addprefix data/,$(MADE)) data/*.unfinished
	@$(if $(GIVEN),echo "kept .dvc/cache for $(GIVEN); dvc gc --workspace removes what is in none",rm -rf .dvc/cache)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile
