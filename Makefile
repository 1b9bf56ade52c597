# The only entry points anyone needs. `make` alone lists them.
#
#   ARGS=...       handed to the program behind the target (`make run ARGS="--listen 0.0.0.0:80"`)
#   PROFILE=...    release (default) | quick (optimised, without the minutes of fat LTO) | dev

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PROFILE ?= release
ARGS ?=

# nginx, HAProxy and ip are in sbin, which is not on every user's path.
export PATH := $(PATH):/usr/sbin:/sbin

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
PROFILE_DIR = $(TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
# Where `make build` leaves the programs. The daemon finds its helpers beside itself.
PROGRAMS = $(PROFILE_DIR)
# Tests get a folder of their own: `cargo test` puts other builds of the helpers into its own.
TEST_PROGRAMS = $(TARGET)/programs

# Started inside a sandbox, whose root may hold no libc: static, by musl where the target is installed.
HELPERS := hatchway-spawner hatchway-sandbox-init
MACHINE := $(shell uname -m)
MUSL := $(MACHINE)-unknown-linux-musl
GLIBC := $(MACHINE)-unknown-linux-gnu
HAVE_MUSL = $(wildcard $(shell rustc --print sysroot)/lib/rustlib/$(MUSL)/lib)
HELPER_TARGET = $(if $(HAVE_MUSL),$(MUSL),$(GLIBC))
HELPER_FLAGS = $(if $(HAVE_MUSL),,RUSTFLAGS="-C target-feature=+crt-static")

##@ Use

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  \033[36m%-12s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: setup build ## Build, and serve the examples on http://127.0.0.1:8080 (ARGS="...")
	@exec $(PROGRAMS)/hatchway up examples/ $(ARGS)

.PHONY: build
build: ## Build all programs into target/release (PROFILE=release|quick|dev)
	cargo build --profile $(PROFILE) -p hatchway-cli -p hatchway-gateway -p hatchway-node --bins
	@$(MAKE) helpers PROFILE=$(PROFILE)

.PHONY: setup
setup: ## Install what building and running needs, and is missing
	@deploy/setup.sh run

##@ Check

# What is not built by default and has to work all the same.
FEATURES := --features hatchway-cli/otlp,hatchway-gateway/otlp,hatchway-node/otlp

# Tests wait for programs more than they compute.
TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))

.PHONY: test
test: PROFILE := dev
test: TEST_PROFILE = $(if $(filter dev,$(PROFILE)),,--profile $(PROFILE))
test: setup-test ## Run every test (ARGS="-p hatchway-proto", PROFILE=quick, TEST_THREADS=4)
	cargo build $(TEST_PROFILE) --workspace $(FEATURES) --bins --tests
	@$(MAKE) helpers PROFILE=$(PROFILE) PROGRAMS=$(TEST_PROGRAMS)
	@install -m 755 -t $(TEST_PROGRAMS) $(addprefix $(PROFILE_DIR)/,hatchway hatchway-gateway hatchway-node)
	HATCHWAY_BIN=$(TEST_PROGRAMS) RUST_TEST_THREADS=$(TEST_THREADS) cargo test --no-fail-fast $(TEST_PROFILE) $(or $(ARGS),--workspace $(FEATURES))

.PHONY: lint
lint: setup-lint ## Formatting, clippy, docs, licences and sources of dependencies, manifests, shell scripts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(FEATURES) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet $(FEATURES)
	$(TARGET)/tools/bin/cargo-deny --config deploy/deny.toml check --hide-inclusion-graph licenses bans sources
	deploy/kubernetes/check.sh $(TARGET)/validator/bin/kubernetes-validate
	shellcheck .ci/run $$(find deploy examples -name '*.sh' -not -path '*/node_modules/*' -not -path '*/.venv/*')

.PHONY: rollout-figures
rollout-figures: PROFILE := quick
rollout-figures: ## Simulate 2,000 rollouts of each kind: canaries found, false alarms, how soon
	cargo test --profile $(PROFILE) -p hatchway-proto --test rollout_figures -- --ignored --nocapture

.PHONY: sim
sim: PROFILE := quick
sim: ## Compare ways to place on 1,000 simulated nodes (ARGS="--nodes 100 --functions 5000")
	cargo run --quiet --profile $(PROFILE) -p hatchway-sim -- $(ARGS)

.PHONY: soak
soak: PROFILE := quick
soak: setup-test build ## Random load over a hundred functions, then 10 GiB up and down (DURATION=10m, CLIENTS=24)
	HATCHWAY_BIN=$(PROFILE_DIR) cargo test -p hatchway-tests --test soak --test streaming --test two_processes -- \
		--ignored --nocapture --test-threads 1 $(ARGS)

.PHONY: chaos
chaos: PROFILE := quick
chaos: setup-test build ## Everything that can fail does, by a seed, under load (DURATION=10m, SEED=1)
	HATCHWAY_BIN=$(PROFILE_DIR) cargo test --profile $(PROFILE) -p hatchway-tests --test faults -- \
		--ignored --nocapture $(ARGS)

.PHONY: upgrade-test
UPGRADE_SECONDS ?= 30
upgrade-test: PROFILE := quick
upgrade-test: setup-test build ## Replace a node's daemon again and again under load: no call may fail (UPGRADE_SECONDS=30)
	HATCHWAY_BIN=$(PROFILE_DIR) UPGRADE_SECONDS=$(UPGRADE_SECONDS) \
		cargo test -p hatchway-tests --test upgrade -- --ignored --nocapture $(ARGS)

.PHONY: bench
bench: setup-bench build bench-programs ## Figures beside nginx, HAProxy and Envoy (ARGS="--quick", "--help")
	@$(BENCH) --envoy $(TARGET)/envoy $(ARGS)

.PHONY: bench-rules
bench-rules: PROFILE := quick
bench-rules: setup-test build ## What 100,000 functions cost: memory, changes, starts, deploys (FUNCTIONS=10000, STORM=10s)
	HATCHWAY_BIN=$(PROFILE_DIR) cargo test --profile $(PROFILE) -p hatchway-tests --test rules_figures -- \
		--ignored --nocapture --test-threads 1 $(ARGS)

.PHONY: bench-density
bench-density: setup-bench build bench-programs ## Memory of so many live Node functions in one node (FUNCTIONS=500, ARGS="--registered 2000")
	@$(BENCH) --density $(or $(FUNCTIONS),500) $(ARGS)

.PHONY: bench-cluster
bench-cluster: PROFILE := quick
bench-cluster: setup-test setup-bench build bench-programs ## Gateways and nodes on this machine: where functions go, what a loss costs (DURATION=10m, ARGS=figures_of_a_loss)
	@install -m 755 -t $(PROFILE_DIR) $(TARGET)/$(HELPER_TARGET)/$(PROFILE)/hatchway-bench-function
	HATCHWAY_BIN=$(PROFILE_DIR) cargo test --profile $(PROFILE) -p hatchway-tests --test cluster -- \
		--ignored --nocapture --test-threads 1 $(ARGS)

.PHONY: fuzz
FUZZ_SECONDS ?= 3600
fuzz: setup-fuzz ## Look for inputs that break a claim; keep the best of them (FUZZ_SECONDS=3600, ARGS="http1_request")
	@PATH="$(TARGET)/tools/bin:$$PATH" proto/fuzz/run.sh $(FUZZ_SECONDS) $(TARGET)/fuzz $(ARGS)

.PHONY: perf-budget
perf-budget: PROFILE := quick
perf-budget: setup-perf build bench-programs ## Count instructions and system calls per request (ARGS="--accept", "--cases get")
	@$(BENCH) --budget bench/budget.toml $(ARGS)

##@ Other

.PHONY: setup-test setup-lint setup-bench setup-perf setup-fuzz
setup-test: ## What the tests need besides
setup-lint: ## What the lints need besides
setup-bench: ## What the figures need besides
setup-perf: ## What counting needs besides
setup-fuzz: ## What fuzzing needs besides
setup-test setup-lint setup-bench setup-perf setup-fuzz:
	@deploy/setup.sh $(@:setup-%=%)

.PHONY: clean
clean: ## Remove what was built, and the local state of `make run`
	cargo clean
	rm -rf .hatchway

# The two helpers, static, into $(PROGRAMS). `install` writes a new file: cargo's own stays as it was.
.PHONY: helpers
helpers:
	$(HELPER_FLAGS) cargo build --profile $(PROFILE) --target $(HELPER_TARGET) -p hatchway-sandbox --bins
	@mkdir -p $(PROGRAMS)
	@install -m 755 -t $(PROGRAMS) \
		$(addprefix $(TARGET)/$(HELPER_TARGET)/$(notdir $(PROFILE_DIR))/,$(HELPERS))

# The program that measures, and the function behind whoever is measured.
BENCH = $(PROFILE_DIR)/hatchway-bench --programs $(PROGRAMS) --out $(TARGET)/bench \
	--function $(TARGET)/$(HELPER_TARGET)/$(notdir $(PROFILE_DIR))/hatchway-bench-function

.PHONY: bench-programs
bench-programs:
	cargo build --profile $(PROFILE) -p hatchway-bench
	$(HELPER_FLAGS) cargo build --profile $(PROFILE) --target $(HELPER_TARGET) -p hatchway-bench-function
