# carob's make targets. `make help` lists them; the README says what a bare system needs before them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test cri-test check format bench crash-test race-test mutation-test coverage lock clean
.NOTPARALLEL:

PYTHON := .venv/bin/python

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup: ## install what the command needs: missing Debian packages, and .venv/bin/carob
	@setup/install --user

demo: setup ## run the main job end to end: build an image, run pods, watch, stop, collect
	@demo/main-job

test: ## install what the tests need, then run the whole suite
	@setup/install --test
	@$(PYTHON) -m pytest $(PYTEST_ARGS)

cri-test: ## run Kubernetes' conformance suite for CRI on a private service; its tools are not the project's
	@setup/install --test
	@$(PYTHON) -m tests.parts.critest $(CRI_TEST_ARGS)

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

race-test: ## let processes do random verbs to few pods, kill some, and look for an order that explains it all
	@setup/install --test
	@$(PYTHON) -m tests.racing $(RACE_ARGS)

mutation-test: ## break each promise of docs/explanation/reliability.md in turn; a test has to notice
	@setup/install --test
	@$(PYTHON) -m tests.mutations $(MUTATION_ARGS)

bench: ## measure beside bare crun, podman and containerd; these are installed, their services not enabled
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
