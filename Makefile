# Commands for daily use. `make run` and `make test` work on a fresh machine with a Rust toolchain.

SHELL := /bin/bash
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/etcd-appliance
export CARGO_TARGET_DIR ?= $(CACHE)/target
# RocksDB's C++ is compiled once per version and linked from there, see the script.
ROCKSDB_VERSION := $(shell sed -n 's/^rocksdb = { version = "\([^"]*\)".*/\1/p' Cargo.toml)
export ROCKSDB_LIB_DIR ?= $(CACHE)/rocksdb-$(ROCKSDB_VERSION)
export ROCKSDB_STATIC ?= 1
# The one profile. Tests without doc tests: there are none, and their empty summary would come last.
CARGO_FLAGS := --release --workspace
TESTS := --lib --bins --tests --examples

PACKAGES ?= $(CARGO_TARGET_DIR)/packages
BINARIES ?= -p etcd-server -p etcd-admin
BINARY_PROFILE ?= packaged
BINARY_DIR = $(CARGO_TARGET_DIR)/$(BINARY_PROFILE)
# Tests that cannot run here write their names into it.
export SKIPPED_TESTS ?= $(CARGO_TARGET_DIR)/skipped.txt
# An installed toolchain of the version in rust-toolchain.toml, whatever its name: rustup then downloads nothing.
export RUSTUP_TOOLCHAIN ?= $(shell packaging/toolchain.sh)
# What --version names.
export SOURCE_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
export SOURCE_DATE ?= $(shell git log -1 --format=%cs 2>/dev/null)
# Releases hold no path of the machine that builds them. Other flags mean other files for Cargo, so it is off where one only tests.
ifdef REMAP_PATHS
CARGO_HOME ?= $(HOME)/.cargo
export RUSTFLAGS := --remap-path-prefix=$(CARGO_TARGET_DIR)=/target --remap-path-prefix=$(CARGO_HOME)/registry/src=/registry \
  --remap-path-prefix=$(CURDIR)=/source $(RUSTFLAGS)
export CFLAGS := -ffile-prefix-map=$(CARGO_TARGET_DIR)=/target -ffile-prefix-map=$(CARGO_HOME)/registry/src=/registry $(CFLAGS)
export CXXFLAGS := $(CFLAGS)
endif

.PHONY: run build test check fmt clippy doc fix bench leader-changes parity conformance sim robustness siege fuzz mutants sanitize needs rocksdb clean-run binaries deb rpm repo test-packages test-hosts test-ansible test-purge licences reproducible

## Builds and starts one member on http://localhost:2379, with its data in ./default.etcd
run: build
	$(CARGO_TARGET_DIR)/release/etcd-server

build: needs rocksdb
	cargo build --release -p etcd-server

## All tests; those that compare with a real etcd look for its binaries in $$ETCD_BIN_DIR
test: needs rocksdb
	rm -f $(SKIPPED_TESTS); touch $(SKIPPED_TESTS)
	set -o pipefail; cargo test $(CARGO_FLAGS) $(TESTS) --no-fail-fast 2>&1 | tee $(CARGO_TARGET_DIR)/test.log; status=$$?; \
	  sort -u $(SKIPPED_TESTS) | sed 's/^/skipped, in whole or in part: /'; \
	  awk -v skipped="$$(cut -d' ' -f1 $(SKIPPED_TESTS) | sort -u | wc -l)" '/^test result:/ { passed += $$4; failed += $$6 } \
	    END { printf "%d passed, %d failed, %d skipped\n", passed - skipped, failed, skipped }' $(CARGO_TARGET_DIR)/test.log; exit $$status

## All checks of continuous integration; changes nothing
check: fmt clippy doc test

fmt:
	cargo fmt --all --check

clippy: needs rocksdb
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings

doc: needs rocksdb
	RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --no-deps

## Formats, and applies the suggestions of lints
fix: needs rocksdb
	cargo fmt --all
	cargo clippy $(CARGO_FLAGS) --all-targets --fix --allow-dirty --allow-staged

## Benchmarks, beside the real etcd in $$ETCD_BIN_DIR if it is set; BENCH="--quick", BENCH="--case put-256"
bench: needs rocksdb
	cargo build --release -p etcd-server -p bench
	$(CARGO_TARGET_DIR)/release/bench --ours $(CARGO_TARGET_DIR)/release/etcd-server \
	  $(if $(ETCD_BIN_DIR),--etcd $(ETCD_BIN_DIR)/etcd) $(BENCH)

## Random operations on our server and on the real etcd in $$ETCD_BIN_DIR, every response compared; PARITY="--seeds 200 --ops 1000"
parity: needs rocksdb
	cargo build --release -p etcd-server -p parity
	$(CARGO_TARGET_DIR)/release/parity --ours $(CARGO_TARGET_DIR)/release/etcd-server --etcd $(ETCD_BIN_DIR)/etcd $(PARITY)

## etcd's own end-to-end suites with our server, each test alone; ETCD_SRC=DIR is a source tree of etcd 3.7.1, ETCD_BIN_DIR=DIR its real
## etcd, etcdctl and etcdutl; CONFORMANCE=PATTERN selects tests, SUITES="common e2e" the suites; CLI=ours also replaces etcdctl and etcdutl
conformance: needs rocksdb
	cargo build --release -p etcd-server $(if $(filter ours,$(CLI)),-p etcd-admin)
	$(if $(filter ours,$(CLI)),ADMIN=$(CARGO_TARGET_DIR)/release/etcd-admin) \
	    etcd-server/tests/conformance/run.sh $(CARGO_TARGET_DIR)/release/etcd-server $(ETCD_SRC) $(ETCD_BIN_DIR) $(CONFORMANCE)

## Whole clusters in one thread, a seed each; SIM="--seeds 0..2400", SIM="--seed 7 --trace", SIM="--planted"
sim:
	cargo run --release -p sim -- $(SIM)

## Clusters of real members under load and faults; ROBUSTNESS="--minutes 10 --seed 7", ROBUSTNESS="--scenario kill-leader --runs 20"
robustness: needs rocksdb
	cargo build --release -p etcd-server -p robustness
	$(CARGO_TARGET_DIR)/release/robustness --server $(CARGO_TARGET_DIR)/release/etcd-server $(ROBUSTNESS)

## Changes leaders of clusters under load, beside the real etcd in $$ETCD_BIN_DIR if it is set; LEADER_CHANGES="--kind kill --changes 100"
leader-changes: needs rocksdb
	cargo build --release -p etcd-server -p leader_changes
	$(CARGO_TARGET_DIR)/release/leader-changes --ours $(CARGO_TARGET_DIR)/release/etcd-server \
	  $(if $(ETCD_BIN_DIR),--etcd $(ETCD_BIN_DIR)/etcd) $(LEADER_CHANGES)

## Floods our server, and the real etcd in $$ETCD_BIN_DIR if it is set, and prints the cost; SIEGE="--flood rapid-reset --count 1000"
siege: needs rocksdb
	cargo build --release -p etcd-server -p siege
	$(CARGO_TARGET_DIR)/release/siege --ours $(CARGO_TARGET_DIR)/release/etcd-server \
	  $(if $(ETCD_BIN_DIR),--etcd $(ETCD_BIN_DIR)/etcd) $(SIEGE)

## Mutants of a pure crate, tested by its own tests: CRATE=apply, SEED=1, SAMPLE=100 (0 for all), MUTANTS="--diff --only REGEX"
mutants: needs
	@cargo mutants --version >/dev/null 2>&1 || { echo "install cargo-mutants with: cargo install cargo-mutants --locked" >&2; exit 1; }
	etcd-server/tests/mutants/run.py $(CRATE) --seed $(or $(SEED),1) --sample $(or $(SAMPLE),100) $(MUTANTS)

## Tests under AddressSanitizer, once per release, with a nightly toolchain; RocksDB's C++ is linked as it is. SANITIZE="-p storage" selects
sanitize: needs rocksdb
	RUSTUP_TOOLCHAIN=nightly RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)-sanitizer \
	  cargo test --release --target $$(uname -m)-unknown-linux-gnu $(or $(SANITIZE),-p storage -p raftlog -p replica -p etcd-server) --lib --bins --tests

## A million hostile inputs for each decoder; FUZZ="--inputs 1000", FUZZ="--target json-requests --inputs 1 --seed 7"
fuzz: needs
	cargo run --release -p fuzz -- $(FUZZ)
	cargo test --release -p consensus --test main no_message_makes_a_member_panic -- --nocapture

## Packages in $(PACKAGES), see packaging/README.md; `repo` makes a directory that apt installs from, signed if GPG_KEY names a key
deb rpm: binaries
	packaging/$@.sh $(BINARY_DIR) $(PACKAGES)

repo: deb
	packaging/repo.sh $(PACKAGES) $(PACKAGES)/apt

## Licences, bans and sources of all dependencies
licences:
	packaging/licences/notices.py check

## Builds the programs twice, under another home and path each, and compares; takes two whole builds
reproducible: needs
	packaging/reproducible.sh

## Debian's etcd packages purged before and after ours are installed, in temporary systems
test-purge: binaries
	packaging/hosts/purge.sh $(BINARY_DIR)

## Builds the packages twice, compares, and inspects their contents
test-packages: binaries
	packaging/test.sh $(BINARY_DIR)

## Tests the packages on three hosts with a booted systemd; ROOTFS=DIR keeps their root filesystem
test-hosts: binaries
	packaging/hosts/test.sh $(BINARY_DIR)

## Tests the Ansible collection on such hosts; VENV=DIR keeps the Python environment
test-ansible: binaries
	packaging/hosts/ansible.sh $(BINARY_DIR)

# Packaged binaries have a profile of their own and are built alone, without the features that tests enable in libraries;
# BINARIES="--workspace --bin etcd-server --bin etcd-admin" BINARY_PROFILE=release takes those that the tests have built.
binaries: needs rocksdb
	cargo build --profile $(BINARY_PROFILE) $(BINARIES)

rocksdb: needs
	@etcd-server/crates/storage/prebuild-rocksdb.sh $(ROCKSDB_LIB_DIR)

# Build dependencies beside Rust: a C++ compiler for RocksDB, and libclang for its bindings.
needs:
	@packaging/build-needs.sh
