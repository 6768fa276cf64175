# The project's commands. Each target installs the tools it needs when they are missing (tests/setup).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test lint counts stubs api model sim mutants chaos fuzz bench flamegraph polyglot image chart fmt

SETUP := tests/setup
LISTEN ?= 127.0.0.1:7420
ADMIN_LISTEN ?= 127.0.0.1:7421
ROWS ?= most
SEEDS ?= 1000
CASES ?= 1000000
MINUTES ?= 10
# The command line comes with the client crate, for those who ask for it.
FEATURES := --features holdfast-client/cli

# The tools that tests/setup installs; what runs here finds them before others.
test lint counts stubs api chaos fuzz bench flamegraph polyglot image chart: export PATH := $(CURDIR)/.tools/bin:$(PATH)

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## start a development server (no Redis, no config) and take a first lock; LISTEN=, ADMIN_LISTEN=
	@$(SETUP)/run-dev.sh $(LISTEN) $(ADMIN_LISTEN)

test: ## unit and integration tests, on real redis-server processes
	@$(SETUP)/redis.sh
	@$(SETUP)/grpcurl.sh
	@$(SETUP)/buf.sh
	@$(SETUP)/other-servers.sh
	@$(SETUP)/redsync.sh
	@$(SETUP)/node-redlock.sh
	@$(SETUP)/browser.sh
	@$(SETUP)/prometheus.sh
	@$(SETUP)/proxies.sh
	@$(SETUP)/grpc-cpp.sh
	@tests/polyglot/setup.sh
	@tests/run.sh $(FEATURES) --locked

lint: ## formatting, tidiness, shell, Dockerfile, Compose file, proto, alerts, dependencies, clippy, docs
	cargo fmt --all --check
	$(SETUP)/tidy.sh
	$(SETUP)/tidy_test.sh
	@$(SETUP)/shellcheck.sh
	shellcheck --external-sources --source-path=SCRIPTDIR .ci/run $(SETUP)/*.sh tests/*.sh tests/image/*.sh tests/chart/*.sh tests/stubs/*.sh tests/polyglot/*.sh tests/polyglot/*/*.sh
	@$(SETUP)/hadolint.sh
	hadolint Dockerfile
	@$(SETUP)/check-jsonschema.sh
	check-jsonschema --builtin-schema vendor.compose-spec ops/compose.yaml
	@$(SETUP)/buf.sh
	buf lint proto
	$(SETUP)/breaking.sh
	$(SETUP)/breaking_test.sh
	@$(SETUP)/protoc-gen-doc.sh
	tests/api.sh --check
	@$(SETUP)/prometheus.sh
	promtool check config ops/prometheus.yml
	promtool test rules ops/alerts_test.yml
	@$(SETUP)/cargo-deny.sh
	@cargo fetch --locked --quiet
	cargo-deny --offline --locked check --hide-inclusion-graph licenses bans sources
	cargo clippy --workspace --all-targets $(FEATURES) --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps $(FEATURES) --locked

# The engine as a release has it, by itself; what counts is built as by `make test`, so that it is there already.
counts: ## count the instructions of the hot paths, and hold them to what is recorded; RECORD=yes to record them
	@$(SETUP)/redis.sh
	@$(SETUP)/valgrind.sh
	cargo build --release --locked --quiet -p holdfast-counts-engine
	cargo build --workspace --bin holdfast-counts $(FEATURES) --locked --quiet
	@$${CARGO_TARGET_DIR:-target}/debug/holdfast-counts $(if $(RECORD),--record)

stubs: ## generate client stubs of every language into target/stubs, and compile them
	@$(SETUP)/buf.sh
	@$(SETUP)/proto-plugins.sh
	@tests/stubs/stubs.sh

api: ## make docs/api.md of the comments of the proto files
	@$(SETUP)/buf.sh
	@$(SETUP)/protoc-gen-doc.sh
	tests/api.sh

model: ## check the protocol's model; ROWS="u t6 ..." for some rows, ROWS=all for the largest too, TRACE=1 for traces
	cargo run --locked --quiet -p holdfast-model -- $(ROWS)

sim: ## simulate whole deployments in virtual time; SEEDS=n, or SEED=k to replay one with its event log
	cargo build --release --locked --quiet -p holdfast-sim
	@$${CARGO_TARGET_DIR:-target}/release/holdfast-sim $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

mutants: ## take each rule of the protocol away, and say which seed shows it; SEEDS=n
	cargo build --release --locked --quiet -p holdfast-sim
	@$${CARGO_TARGET_DIR:-target}/release/holdfast-sim --mutants --seeds $(SEEDS)

fuzz: ## bad input for everything that reads; CASES=n, TARGET=name for one of them, SEED=n for other cases
	@$(SETUP)/redis.sh
	cargo run --locked --quiet --profile fuzz -p holdfast-fuzz -- --cases $(CASES) --seed $(or $(SEED),1) $(TARGET:%=--target %)

# holdfastd by itself: together with the tests, it would be built with what they switch on.
chaos: ## break a real deployment while it is used, and check what its clients saw; MINUTES=, SEED=, REPORT=file.md
	@$(SETUP)/redis.sh
	@$(SETUP)/valkey.sh
	cargo build --release --locked -p holdfast-server --bin holdfastd
	cargo run --release --locked -p holdfast-chaos -- run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(REPORT),--report $(REPORT))

# All of it ends in docs/benchmarks; a part of it only where REPORT says.
PART := $(POINTS)$(SYSTEMS)$(WORKERS)$(SECS)$(REPS)
BENCH := $(if $(POINTS),--points "$(POINTS)") $(if $(SYSTEMS),--systems "$(SYSTEMS)") $(if $(WORKERS),--workers "$(WORKERS)") \
	$(if $(SECS),--seconds $(SECS)) $(if $(REPS),--repetitions $(REPS))
bench: REPORT ?= $(if $(PART),,docs/benchmarks)
bench: ## measure Holdfast beside its rivals (20 minutes); POINTS="own contended" SYSTEMS="rslock holdfast" WORKERS=64 SECS=2 REPS=3 REPORT=folder
	@$(SETUP)/redis.sh
	@$(SETUP)/etcd.sh
	@$(SETUP)/zookeeper.sh
	@$(SETUP)/redsync.sh
	@$(SETUP)/node-redlock.sh
	cargo build --release --locked -p holdfast-server --bin holdfastd
	cargo build --release --locked -p holdfast-bench
	@$${CARGO_TARGET_DIR:-target}/release/holdfast-bench run $(BENCH) $(if $(REPORT),--report $(REPORT))

flamegraph: ## draw where the CPU time of server and client goes, into docs/benchmarks
	@$(SETUP)/redis.sh
	@$(SETUP)/perf.sh
	@$(SETUP)/inferno.sh
	cargo build --release --locked -p holdfast-server --bin holdfastd
	cargo build --release --locked -p holdfast-bench
	@tests/bench/flamegraph.sh

polyglot: ## what generated clients see in each language whose toolchain is here, as a table
	@$(SETUP)/redis.sh
	@$(SETUP)/buf.sh
	@tests/polyglot/setup.sh
	cargo build --workspace --bins $(FEATURES) --locked --quiet
	cargo test --workspace $(FEATURES) --locked --quiet --test polyglot -- --nocapture every_language

image: ## build the image with buildah, run it hardened with podman and as ops/compose.yaml does, and check what it does
	@tests/image/image.sh

chart: ## lint and render the Helm chart, hold it to Kubernetes' schemas and to holdfastd
	@tests/chart/chart.sh

fmt: ## format the Rust sources
	cargo fmt --all
