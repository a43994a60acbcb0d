# carob's make targets. `make help` lists them; the README says what a bare system needs before them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench crash-test coverage lock clean
.NOTPARALLEL:

PYTHON := .venv/bin/python

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## install what the command needs: missing Debian packages, and .venv/bin/carob
	@setup/install --user

demo: setup ## run the main job end to end: build an image, run pods, watch, stop, collect
	@demo/main-job

test: ## install what the tests need, then run the whole suite
	@setup/install --test
	@$(PYTHON) -m pytest $(PYTEST_ARGS)

check: ## lint, formatting, types and layers, without running anything
	@setup/install --test
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m tests.architecture.generated
	$(PYTHON) -m mypy
	.venv/bin/basedpyright --level error
	.venv/bin/lint-imports --no-cache

format: ## let ruff sort imports and lay out the code
	@setup/install --test
	$(PYTHON) -m ruff check --fix --select I .
	$(PYTHON) -m ruff format .

crash-test: ## kill every operation at every point of each of its processes; goes on where it was cut short
	@setup/install --test
	@mkdir -p .cache
	@$(PYTHON) -m tests.crash --results .cache/crash-points.jsonl $(CRASH_ARGS)

bench: ## measure side by side with bare crun and podman; podman is installed, its services are not enabled
	@setup/install --bench
	@$(PYTHON) -m bench $(BENCH_ARGS)

coverage: ## run the suite under coverage, child processes and supervisors included, and report
	@setup/install --test
	@rm -rf .cache/coverage && mkdir -p .cache/coverage
	@status=0; $(PYTHON) -m coverage run -m pytest $(PYTEST_ARGS) || status=$$?; \
	$(PYTHON) -m coverage combine -q && $(PYTHON) -m coverage report; exit $$status

lock: ## write requirements*.lock anew from pyproject.toml
	@setup/lock

clean: ## remove what set-up, tests and tools made in this checkout (not Debian packages)
	rm -rf .venv .cache .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist/*.tar.gz dist/*.whl
	find . -name __pycache__ -prune -exec rm -rf {} +
