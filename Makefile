# Needs Python 3.11 and make. Everything else comes through pip, as pip is set up on this machine, into .venvs/.

PYTHON ?= $(shell for python in python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$python && break; done)
ifeq ($(strip $(PYTHON)),)
$(error Python 3.11 was not found; install it, or name it: make PYTHON=/path/to/python3.11 ...)
endif

# make demo ONCE=1 ends by itself; make test LONG=1 leaves no test out, WORKERS=0 runs each suite in one process.
export ONCE
export LONG
export WORKERS
export PYTEST_ARGS

.DEFAULT_GOAL := help
.PHONY: help demo test lint test-pure test-airflow-3.3 test-airflow-2.11 chaos bench plots docs pictures test-matrix release-check format pins clean

help: ## what can be made
	@grep -hE '^[a-z0-9.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9.-]+):.*## (.*)/  make \1\t\2/' | expand -t 28

demo: ## a local mediarithmics and a real Airflow, until Ctrl-C; ONCE=1: until it has seen everything work
	@$(PYTHON) tools/environments.py airflow-3.3
	@PATH="$(CURDIR)/.venvs/airflow-3.3/bin:$$PATH" python -m demo.run

test: ## all checks: lint, types, layers, tests without Airflow, on Airflow 3.3 and on 2.11
	@$(PYTHON) tools/checks.py all

lint: ## ruff, mypy --strict and the layers
	@$(PYTHON) tools/checks.py lint

test-pure: ## the tests of what needs no Airflow, where there is none
	@$(PYTHON) tools/checks.py pure

test-airflow-3.3: ## the tests of the rest on Airflow 3.3
	@$(PYTHON) tools/checks.py airflow-3.3

test-airflow-2.11: ## the same on Airflow 2.11
	@$(PYTHON) tools/checks.py airflow-2.11

chaos: ## the reliability tests in their long form, on both lines of Airflow
	@$(PYTHON) tools/checks.py chaos

bench: ## what waiting, a long history, building DAGs and a pass cost, beside other providers: hours; BENCH=--short: minutes
	@$(PYTHON) tools/environments.py benchmarks
	@for each in polling history parse pass page; do \
		.venvs/benchmarks/bin/python -m tests.benchmarks.bench_$$each $(BENCH) || exit 1; done

plots: ## draw the tables of docs/benchmarks.md
	@$(PYTHON) tools/environments.py benchmarks
	@.venvs/benchmarks/bin/python -m tests.benchmarks.plots

test-matrix: ## the wheel on every line of Airflow with the packages of its days: hours; ROWS="--smoke airflow-3.1:3.12"
	@$(PYTHON) tools/matrix.py $(ROWS)

release-check: ## all that can be checked before a release; leaves in dist/ what to upload
	@$(PYTHON) tools/release_check.py

docs: ## the documentation as pages with a search, in .site/; SERVE=1 shows it on http://127.0.0.1:8000
	@$(PYTHON) tools/environments.py no-airflow
	@NO_MKDOCS_2_WARNING=1 .venvs/no-airflow/bin/mkdocs $(if $(SERVE),serve,build)

pictures: ## take the pictures of the documentation anew; needs Debian's chromium and chromium-driver
	@$(PYTHON) tools/environments.py airflow-3.3
	@PATH="$(CURDIR)/.venvs/airflow-3.3/bin:$$PATH" python -m demo.pictures

format: ## put the code in form
	@$(PYTHON) tools/environments.py no-airflow
	@.venvs/no-airflow/bin/ruff check --fix --exit-zero --quiet
	@.venvs/no-airflow/bin/ruff format

pins: ## write constraints/ anew: the newest versions there are, and those of the days of releases
	@$(PYTHON) tools/pins.py

clean: ## remove the environments, the demo and every cache
	rm -rf .venvs .demo .site dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
