# The only entry points people type. Each sets up what it needs; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-quick test-long test-matrix coverage lint integrity integrity-reports format docs prove prove-faults prove-exercises bench pictures up down image deploy test-compose test-kubernetes soak slow lock clean

# The first Python that is new enough, or the one you name: make PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	if $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then echo $$p; break; fi; done)
BIN := .venv/bin
# Two processes; files that share a Spark session or a broker are in one of them (tests/conftest.py).
SPREAD := -n 2 --dist loadgroup --no-loadscope-reorder
# Cheapest first: no process; processes without a stack; a scratch database of Airflow.
FAST := tests/unit tests/service packages/dag-integrity/tests tests/dag

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Check this machine and make .venv from the lock
	@$(or $(PYTHON),python3) -I answers/stack/preflight.py

demo: setup ## The answered questions on real days, embedded; stays up until Ctrl-C
	@$(BIN)/answers demo

test: setup ## Every test that needs no Docker: unit, service, dag, stack
	@$(BIN)/python -m pytest -m "not long and not compose and not kubernetes" $(SPREAD) $(ARGS)

test-quick: lint ## While you edit: lint, and the tier unit, a minute
	@$(BIN)/python -m pytest tests/unit $(SPREAD) $(ARGS)

test-long: setup ## What takes too long for each push (docs/q09.md), on both stacks; nightly in CI
	@status=0; export ANSWERS_REQUIRE_COMPOSE=1; for tier in stack compose; do \
		$(BIN)/python -m pytest tests/$$tier -m long --junitxml=results/junit-long-$$tier.xml $(ARGS) || status=1; \
	done; exit $$status

test-matrix: setup ## The checker's own tests with each Airflow that it supports (ARGS="3.0 -- -k rules"); nightly in CI
	@$(BIN)/python packages/dag-integrity/matrix.py $(ARGS)

coverage: setup ## The lines that the tiers unit, service and dag run; fails below what pyproject.toml asks for
	@$(BIN)/python -m pytest $(FAST) -m "not long" $(SPREAD) --cov --cov-report=term --cov-report=xml:results/coverage.xml $(ARGS)

lint: setup ## Lint, format check, types and the DAGs' integrity
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/answers integrity dags

integrity: setup ## Check the DAGs of this project (or any: make integrity ARGS=path)
	@$(BIN)/answers integrity $(or $(ARGS),dags)

integrity-reports: setup ## The same for CI, in results/: JUnit, SARIF, GitLab's code quality
	@mkdir -p results
	@$(BIN)/dag-integrity dags --output junit=results/junit-integrity.xml --output sarif=results/integrity.sarif \
		--output gitlab=results/integrity.json

format: setup ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: setup ## Make the generated tables and pages anew: README's questions, the checker's rules (docs/, README.md)
	@$(BIN)/python packages/dag-integrity/readme.py
	@$(BIN)/python -m answers.proof.pages

prove: setup ## Run the tests of every claim and show what is proven
	@$(BIN)/answers prove

prove-faults: setup ## Break each mechanism on a copy: the tests must notice
	@$(BIN)/answers prove --faults

prove-exercises: setup ## Tickets from both sides: right designs pass, wrong answers are convicted (ARGS="ID", or --since COMMIT); nightly in CI
	@$(BIN)/answers exercise prove $(ARGS)

pictures: setup ## Make the pictures of README and docs anew, from the embedded stack, which must be up (needs Chromium)
	@$(BIN)/python -m bench.pictures $(ARGS)

bench: setup ## Measure: side by side, as ratios, recorded in bench/results
	@$(BIN)/python -m bench

up: ## Start the docker compose stack; the first time writes .env and prints the admin password
	@python3 -I answers/stack/dotenv.py
	@docker compose up --detach --build --wait
	@echo "Airflow: http://localhost:$$(sed -n 's/^UI_PORT=//p' .env), user admin, password: ADMIN_PASSWORD in .env"
	@echo "Prometheus: http://$$(docker compose port prometheus 9090)  e-mails: http://$$(docker compose port maildev 1080)"

down: ## Stop the docker compose stack; its data stays
	@docker compose down

image: ## Build the image of every Airflow component (TAG=…, for Kubernetes ARGS="--build-arg KUBERNETES=1")
	@docker build --tag airflow-answers:$(or $(TAG),latest) $(ARGS) .

deploy: setup ## Ship a tag to the running stack, without downtime (TO=TAG)
	@$(BIN)/answers deploy --to $(TO)

test-compose: setup ## The questions on a docker compose stack of its own
	@ANSWERS_REQUIRE_COMPOSE=1 $(BIN)/python -m pytest tests/compose -m "compose and not long" $(ARGS)

test-kubernetes: setup ## Celery and Kubernetes side by side, on the cluster of KUBECONFIG (docs/q07.md)
	@ANSWERS_REQUIRE_KUBERNETES=1 $(BIN)/python -m pytest tests/kubernetes -m kubernetes $(ARGS)

soak: setup ## For long: 1,000 Kafka messages at 50 a second under 20 kills (SOAK_SEED=…); the Fernet key rotated under runs
	@SOAK_MESSAGES=$${SOAK_MESSAGES:-1000} SOAK_RATE=$${SOAK_RATE:-50} SOAK_KILLS=$${SOAK_KILLS:-20} \
		$(BIN)/python -m pytest tests/stack/test_q05_stack.py tests/stack/test_q06_stack.py -k "sigkill or fernet" -s $(ARGS)

slow: ## Anything on a third of this machine's CPU time (TARGET=demo, or CMD="any command")
	@python3 -I tests/support/slow.py $(or $(CMD),$(MAKE) --no-print-directory $(or $(TARGET),test))

lock: setup ## Compile requirements.txt from all dependency groups (ARGS=--upgrade for the latest versions)
	@$(BIN)/uv pip compile --quiet pyproject.toml packages/dag-integrity/pyproject.toml --group airflow --group kubernetes \
		--group embedded --group command --group dev --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make lock" --output-file requirements.txt $(ARGS)

clean: ## Stop the embedded stack and remove what it and the tests made
	@if [ -x $(BIN)/answers ]; then $(BIN)/answers down; fi
	@rm -rf .airflow .import_linter_cache .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage .coverage.* results
