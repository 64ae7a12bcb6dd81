# Every target prepares itself: a machine needs Python 3.11 or newer, make, and a package index.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The first Python on PATH that is new enough; `make PYTHON=/path/to/python …` names another.
PYTHON ?= $(shell for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$candidate" && break; done)
UV_VERSION := 0.13.9
BIN := .venv/bin
INSTALLED := .venv/.installed
PROTO_OUT := clients/python
ROUNDS ?= 5
RATE ?= 5000
SECONDS ?= 120
KILLS ?= 30

.PHONY: help demo faults faults-decisions faults-deliveries run test smoke fuzz bench load lint proto migrate lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | sort | expand -t 20

demo: $(INSTALLED) ## Play the main job on 6,919 real purchases, from nothing to the mailbox
	@exec $(BIN)/python -m loadtest.demo

# As root, starting PostgreSQL or Redis again is a fork, and gRPC remarks on each of them.
faults faults-decisions faults-deliveries: export GRPC_VERBOSITY = ERROR

faults: faults-decisions faults-deliveries ## Both drills below, one after the other; SEED=7 draws other moments

faults-decisions: $(INSTALLED) ## Kill servers, PostgreSQL, Redis and callers under load, KILLS=n of them
	@exec $(BIN)/python -m loadtest.faults.decisions --kills $(KILLS) $(if $(SEED),--seed $(SEED))

# KILLS of the caller's own asks for the other drill of deliveries, in which workers are killed.
faults-deliveries: $(INSTALLED) ## Play the demo while its processes are killed; KILLS=n kills workers under load
	@exec $(BIN)/python -m $(if $(filter command environment,$(firstword $(origin KILLS))),loadtest.faults.workers \
		--kills $(KILLS),loadtest.faults.deliveries) $(if $(SEED),--seed $(SEED))

run: $(INSTALLED) ## Start the embedded stack and the server; Ctrl-C stops both
	@exec $(BIN)/python -m server.cli.main run

# What takes minutes by its nature: each benchmark and each drill, played once on a small scale, and RabbitMQ, which is
# slow to start.
SMOKE := tests/bench tests/demo tests/faults tests/workers/test_rabbitmq.py

test: $(INSTALLED) ## Run the tests against real servers, with coverage
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term-missing:skip-covered $(SMOKE:%=--ignore=%)

smoke: $(INSTALLED) ## Play the demo and every benchmark and drill once, in their short forms
	$(BIN)/python -m pytest -n 2 $(SMOKE)

fuzz: $(INSTALLED) ## Search for SECONDS for rules that closure and SQL judge differently; SEED=n repeats one round
	@LEO_FUZZ_SECONDS=$(SECONDS) LEO_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest tests/conditions/fuzz.py -q -s -p no:cacheprovider

bench: $(INSTALLED) ## Measure against raw baselines; BENCH=name runs one, ROUNDS=n other than five times, SCALE=10m profiles
	@exec $(BIN)/python -m loadtest.bench $(BENCH) --rounds $(ROUNDS) $(if $(SCALE),--scale $(SCALE)) $(if $(filter command environment,$(firstword $(origin SECONDS))),--seconds $(SECONDS))

load: $(INSTALLED) ## Load a running stack with locust: RATE events a minute for SECONDS seconds
	@exec $(BIN)/python -m loadtest.load --rate $(RATE) --seconds $(SECONDS)

lint: $(INSTALLED) ## Check style, types, layers and generated code
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy $(wildcard server clients/python/leo_client clients/feeder)
	$(BIN)/lint-imports --no-logo
	.ci/check-proto $(BIN)/python

proto: $(INSTALLED) ## Generate the Python stubs from proto/
	.ci/generate-proto $(BIN)/python $(PROTO_OUT)

migrate: $(INSTALLED) ## Apply the migrations from nothing and write db/schema.sql
	$(BIN)/python -m server.cli.main migrate dump

lock: $(BIN)/uv ## Resolve the dependencies again, with hashes
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" -o requirements.lock

clean: ## Remove everything that was generated, but not the state of the stack
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov dist
	find server clients tests loadtest -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/uv:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer was not found: install it, or set PYTHON=/path/to/python" >&2; exit 1; }
	"$(PYTHON)" -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"

# The lock has every dependency with its hash; the project itself follows, editable and without another look
# at the index. The time stamp makes the next run free. uv is quicker, but does not know pip's own settings of
# index and certificates: where it cannot reach an index, pip tries.
$(INSTALLED): requirements.lock pyproject.toml | $(BIN)/uv
	@echo "installing the locked dependencies into .venv"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
		|| { echo "uv failed; trying with pip"; \
			$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(INSTALLED)
