# Everything a contributor types. `make` alone lists it. The environment is made on first use, in .venv/.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= auto

.DEFAULT_GOAL := help
.PHONY: help demo test lint types contracts audit pytest conformance bench bench-batch bench-fallback bench-serve bench-shrink golden proto lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/.done: requirements/bootstrap.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

include mk/tools.mk mk/browser.mk mk/azurite.mk mk/serverless_devs.mk

demo: .venv/.done ## train, pack, run under the real Lambda runtime client, and look at the answer
	@$(BIN)/python examples/digits/demo.py

test: lint types contracts audit pytest ## everything: lint, types, import contracts, audit, all tests

lint: .venv/.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.done
	$(BIN)/mypy

contracts: .venv/.done
	$(BIN)/lint-imports

audit: .venv/.done
	@$(BIN)/python -m tests.support.audit

pytest: .venv/.done tools browser azurite serverless-devs
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -q

conformance: .venv/.done ## all 1,072 ONNX conformance cases through the engine, and again after strip
	$(BIN)/python -m tests.conformance
	$(BIN)/python -m tests.conformance --strip

bench: .venv/.done ## cold start, memory and size beside the peers, and what each target costs; writes results.json
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.targets

bench-batch: .venv/.done tools peers ## how fast files are scored, beside the peers; writes benchmarks/batch/results.json
	$(BIN)/python -m benchmarks.batch

bench-shrink: .venv/.done peers ## how small models become, beside the peers; writes benchmarks/shrink/results.json
	$(BIN)/python -m benchmarks.shrink

bench-fallback: .venv/.done ## what the door adds, and the endpoint beside the peers; writes benchmarks/fallback/results.json
	$(BIN)/python -m benchmarks.fallback

bench-serve: .venv/.done ## how containers start and answer, beside the peers; writes benchmarks/serve/results.json
	$(BIN)/python -m benchmarks.serve

golden: .venv/.done ## render the golden trees and sam/ again, to look at the difference with git
	$(BIN)/python -m tests.support.golden

proto: .venv/.done ## generate the endpoint's gRPC messages again
	@$(BIN)/python -m tests.support.proto

lock: .venv/.done ## resolve requirements/*.txt again
	for name in bootstrap; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes requirements/$$name.in -o requirements/$$name.txt; done
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group dev pyproject.toml -o requirements/dev.txt

clean: ## remove what make made
	rm -rf .venv .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis sam/.aws-sam
