# Every target works in a fresh clone: it makes the virtual environment it needs. Python 3.11 or later.
PYTHON ?= python3
VENV   := .venv
# How many tests run at a time: `auto` is one per core.
WORKERS ?= auto
# What pytest runs, and how: TESTS=tests/cli, or TESTS='-m "not milvus"'.
TESTS  ?= --numprocesses $(WORKERS) --dist worksteal -m "not slow and $(ALONE)"
# Tests that need no server and no packages of other versions.
ALONE  := not milvus and not kubernetes and not packages
# What `make bench` measures, and how often: BENCH='--only apply --rounds 9'.
BENCH  ?=
# What `make soak` runs, if not all: SOAK='--only tests/faults'.
SOAK   ?=
# AUDIT=--where-reachable: advisories that cannot be reached are reported, but are not an error.
AUDIT  ?=
BIN    := $(VENV)/bin
# The image and the runners of the release: Python 3.11 on Linux.
COMPILED := --quiet --upgrade --generate-hashes --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
  --no-annotate --custom-compile-command 'make requirements'

.PHONY: help demo test test-all lint format schemas bench soak requirements dist test-lowest audit ci clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(VENV)/demo ## Move an alias on a local Milvus Lite server; takes about 20 seconds
	@PATH="$(abspath $(BIN)):$$PATH" demo/run

test: $(VENV)/dev ## Run most tests, in about three minutes
	$(BIN)/python -m pytest $(TESTS)

test-all: ## Run all tests that need no server; CI runs these
	$(MAKE) test TESTS='--numprocesses $(WORKERS) --dist worksteal -m "$(ALONE)"'

lint: $(VENV)/dev ## Check style, types, import contracts and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/zizmor --quiet --offline --pedantic .github
	$(BIN)/zizmor --quiet --offline manifests/ci/github/*.yml

format: $(VENV)/dev ## Format the code and fix its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(VENV)/dev ## Generate schemas/, crds/, docs/reference/ and docs/servers.md
	$(BIN)/python -m reconciler.generate

bench: $(VENV)/dev $(VENV)-milvus/bin/milvus-server $(VENV)-octodns/bin/octodns-sync ## Compare the cost with other tools; writes docs/performance.md
	$(BIN)/python -m benchmarks --milvus $(VENV)-milvus --octodns $(VENV)-octodns $(BENCH)

soak: $(VENV)/dev $(VENV)-milvus/bin/milvus-server ## Run the fault tests at full length; writes docs/reliability.md
	$(BIN)/python -m tests.reliability --milvus $(VENV)-milvus $(SOAK)

requirements: ## Update the pinned versions and hashes of image and release
	@$(PYTHON) -m venv $(VENV)-uv
	@$(VENV)-uv/bin/python -m pip install --quiet uv
	$(VENV)-uv/bin/uv pip compile $(COMPILED) pyproject.toml --extra operator --output-file requirements/image.txt
	$(VENV)-uv/bin/uv pip compile $(COMPILED) requirements/build.in --output-file requirements/build.txt

dist: ## Build the package into dist/, with pinned tools
	@$(PYTHON) -m venv $(VENV)-build
	@$(VENV)-build/bin/python -m pip install --quiet --require-hashes --requirement requirements/build.txt
	$(VENV)-build/bin/python -m build --no-isolation --outdir dist .

test-lowest: ## Run the tests with the oldest supported dependencies
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python tests/lowest_versions.py > $(VENV)-lowest/constraints.txt
	$(VENV)-lowest/bin/python -m pip install --quiet --constraint $(VENV)-lowest/constraints.txt --editable '.[dev]'
	$(VENV)-lowest/bin/python -m pytest $(TESTS)

audit: $(VENV)/dev $(VENV)-audit/bin/pip-audit ## Check dependencies for known vulnerabilities
	@$(BIN)/python -m tests.supply_chain.audit $(VENV)-audit/bin/pip-audit $(AUDIT)

ci: ## Run everything, on real servers
	.ci/run

clean: ## Remove what the targets created
	rm -rf $(VENV) $(VENV)-* .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

$(VENV)/demo: pyproject.toml
	@echo "Making $(VENV); this takes a minute, once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[lite]'
	@touch $@

$(VENV)/dev: pyproject.toml
	@echo "Making $(VENV); this takes a minute, once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

$(VENV)-milvus/bin/milvus-server:
	@$(PYTHON) -m venv $(VENV)-milvus
	@$(VENV)-milvus/bin/python -m pip install --quiet milvus==2.3.5 'setuptools<81'

$(VENV)-audit/bin/pip-audit:
	@$(PYTHON) -m venv $(VENV)-audit
	@$(VENV)-audit/bin/python -m pip install --quiet pip-audit

$(VENV)-octodns/bin/octodns-sync:
	@$(PYTHON) -m venv $(VENV)-octodns
	@$(VENV)-octodns/bin/python -m pip install --quiet octodns
