# Each target is one line over `python -m benchmark`; the first use makes .venv.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
PRESET ?= quick
WORKERS ?= 2
MINUTES ?= 12
PYTEST = $(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Where this variable is set, as in many images of containers, each process would compile torch again: ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup lock benchmark submit leaderboard status test test-kernels check format bench gpu-study clean \
	compare docs

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  DATA=directory      your own images instead of the embedded synthetic ones"
	@echo "  PRESET=standard  another preset than quick"
	@echo "  ARGS='...'       more options of python -m benchmark run, see --help"

setup: $(READY) ## Make .venv with the exact versions of requirements.lock

benchmark: $(READY) ## Train, explain, score and rank all architectures, standard and adversarial
	@$(PY) -m benchmark run --preset $(PRESET) $(if $(DATA),--data "$(DATA)") $(ARGS)

submit: $(READY) ## Check and run the entry in ENTRY=file, or timm's network in TIMM=name, and add its rows
	@$(PY) -m benchmark submit $(if $(TIMM),--timm "$(TIMM)","$(ENTRY)") --preset $(PRESET) $(if $(DATA),--data "$(DATA)") $(ARGS)

leaderboard: $(READY) ## Rebuild tables and figures from the records under results/
	@$(PY) -m benchmark leaderboard

compare: $(READY) ## Compare two models: make compare A=xception/standard B=resnet50/pgd-l2
	@$(PY) -m benchmark compare "$(A)" "$(B)" $(ARGS)

status: $(READY) ## Show which results there are
	@$(PY) -m benchmark status

test: $(READY) ## Run the tests but the slow ones, WORKERS=2 files at a time; SEED=7 shuffles them
	@$(PYTEST) -m "not slow" $(if $(SEED),--random-order --random-order-seed=$(SEED)) $(ARGS)

test-kernels: $(READY) ## Run the numeric tests under three kinds of kernels, with 1, 2 and 4 threads (half an hour)
	@$(PY) -m tests.kernels $(ARGS)

check: $(READY) ## The gate: format, lint, types, tests
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(PYTEST)
	@$(PY) -m tests.kernels --short

format: $(READY) ## Format the code and mend what the linter can mend
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

lock: $(READY) ## Write requirements.lock again after a change of pyproject.toml: ARGS='--upgrade' for newer versions
	@$(VENV)/bin/uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header $(ARGS) -o requirements.lock

docs: $(READY) ## Build the pages of docs/ and check their links: docs/_build/html/index.html
	@$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html

gpu-study: ## Measure and train on a GPU in MINUTES=12, DATA=directory: results in results/gpu
	@$(if $(wildcard $(READY)),$(PY),$(PYTHON)) -m tests.performance.gpu_study --minutes $(MINUTES) $(if $(DATA),--data "$(DATA)") $(ARGS)

bench: $(READY) ## Measure speed against peers and floors: make bench ARGS='-k sparsity'
	@$(PY) -m tests.performance.report $(ARGS)

clean: ## Remove .venv and caches; results and runs stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache docs/_build

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Loupe needs Python 3.11 or later; name one: make PYTHON=python3.12"; exit 2; }
	@echo "making $(VENV) (about 6 GB; a few minutes on first use)"
	@$(PYTHON) -m venv $(VENV) || { echo "error: no venv module; on Debian: apt install python3-venv"; exit 2; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	@$(VENV)/bin/uv pip install --quiet --python $(PY) --require-hashes -r requirements.lock || \
		$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@printf '#!/bin/sh\n# The command line from anywhere. Completion: loupe --install-completion\nPYTHONPATH="%s" LOUPE_PROGRAM=loupe exec "%s/bin/python" -m benchmark "$$@"\n' \
		'$(CURDIR)' '$(abspath $(VENV))' > $(VENV)/bin/loupe
	@chmod +x $(VENV)/bin/loupe
	@touch $@
