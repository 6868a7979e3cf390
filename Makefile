# Every target does its own set-up: nothing but git, make and some Python need be here.
# `make` lists the targets. ARGS is handed on: make run ARGS="model=xgboost", make test ARGS="-k calibration".

.DEFAULT_GOAL := help
.SUFFIXES:

BIN := .venv/bin
ARGS ?=
JOBS ?= 2
PORT ?= 5000

# No tool that is called here may phone home.
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := 1
# Another project's modules must not shadow the locked ones.
unexport PYTHONPATH PYTHONHOME

# A test file stays on one worker, so that what its tests share (a fitted model, a report) is made once;
# one thread a worker, or the workers fight over the cores.
# Files start in their own order: the long ones of pipelines/ would else come last, on one worker.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

##@ Start here

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z][a-z-]*:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile
	@echo

.PHONY: run
run: setup ## Run the whole pipeline, data to report and MLflow (ARGS: Hydra overrides)
	$(BIN)/python pipelines/run.py $(ARGS)

.PHONY: sweep
sweep: setup ## Run the pipeline over many settings (ARGS: overrides with several values; docs/sweeps.md)
	$(BIN)/python pipelines/sweep.py $(ARGS)

.PHONY: test
test: setup ## Run the tests but the slow ones (ARGS: pytest options)
	$(PYTEST) $(ARGS)

.PHONY: setup
setup: ## Make .venv what requirements.lock says; nothing to do when it is
	@scripts/bootstrap.sh

##@ Work with results

.PHONY: ui
ui: setup ## Open MLflow on the local runs (PORT=5000)
	$(BIN)/mlflow ui --backend-store-uri "sqlite:///$(CURDIR)/mlflow.db" --port $(PORT) $(ARGS)

.PHONY: repro
repro: setup ## Run the stages by DVC, only what changed (ARGS: dvc repro options)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro $(ARGS)

.PHONY: reproduce-loris
reproduce-loris: setup ## Reproduce the published LORIS results on the public data
	$(BIN)/python pipelines/reproduce_loris.py $(ARGS)

.PHONY: loris-targets
loris-targets: setup ## Measure the targets on the public cohorts: each call is a look at external data, to be logged
	$(BIN)/python pipelines/loris_targets.py $(ARGS)

.PHONY: bench
bench: setup ## Measure the hot path against its peers, and write docs/benchmarks.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/run.py $(ARGS)

.PHONY: bench-checks
bench-checks: setup ## Plant every trap in synthetic cohorts: what the checks find, and false alarms
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_checks.py $(ARGS)

.PHONY: bench-links
bench-links: setup ## Plant duplicates with noise: precision, recall and time of the linkage
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_links.py $(ARGS)

.PHONY: bench-maf
bench-maf: setup ## Measure the count of mutations from a MAF against pandas and DuckDB (minutes)
	$(BIN)/python benchmarks/bench_maf.py $(ARGS)

.PHONY: bench-truth
bench-truth: setup ## Measure what explanations recover of a known truth, and write docs/explanation-truth.md (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_truth.py $(ARGS)

.PHONY: bench-synthetic
bench-synthetic: setup ## Measure the synthetic cohort against a copula by scipy (minutes)
	$(BIN)/python benchmarks/bench_synthetic.py $(ARGS)

.PHONY: synthetic-targets
synthetic-targets: setup ## Print what the synthetic cohort should be and is, figure by figure
	$(BIN)/python -m immunocast.cohort.synthetic targets $(ARGS)

##@ Work on the code

.PHONY: test-all
test-all: setup ## Run all tests, the slow ones too
	$(PYTEST) -m "" $(ARGS)

# All checks run, also after one failed: a reader of CI's log wants the whole list.
.PHONY: lint
lint: setup ## Check style, types, layers, and that the lock is current
	@failed=; \
	check() { echo "$$*"; "$$@" || failed="$$failed $$(basename "$$1")"; }; \
	check $(BIN)/ruff check; \
	check $(BIN)/ruff format --check; \
	check $(BIN)/mypy; \
	check $(BIN)/lint-imports; \
	check $(BIN)/python scripts/lock.py --check; \
	if [ -n "$$failed" ]; then echo "lint: failed:$$failed" >&2; exit 1; fi

.PHONY: format
format: setup ## Format the code and mend what ruff can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: params
params: setup ## Write params.yaml anew from conf/
	$(BIN)/python scripts/write_params.py $(ARGS)

.PHONY: screenshots
screenshots: setup ## Make the pictures of docs/reviewer.md anew (needs a Chromium; ARGS: synthetic run folders)
	OMP_NUM_THREADS=1 $(BIN)/python scripts/reviewer_screenshots.py $(ARGS)

.PHONY: dictionary
dictionary: setup ## Write docs/data-dictionary.md anew from the schemas
	$(BIN)/python scripts/write_data_dictionary.py $(ARGS)

# Without the set-up, which a broken lock would stop.
.PHONY: lock
lock: ## Resolve requirements.lock anew (ARGS="-- --upgrade" moves every version)
	"$$(scripts/bootstrap.sh --python)" scripts/lock.py $(ARGS)

##@ Clean up

# Never runs/, data/ or mlflow.db: those are results.
.PHONY: clean
clean: ## Remove caches and build leftovers, never results
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . \( -path ./.venv -o -path ./.tools -o -path ./.git -o -path ./runs -o -path ./data \) -prune \
	  -o -type d -name __pycache__ -exec rm -rf {} +

.PHONY: clean-env
clean-env: ## Remove .venv and .tools; the next target sets up anew
	rm -rf .venv .tools
