# chatcache: `make help` lists what there is.
#
# ENVOY=, VALKEY= and REDIS_URL= use your own Envoy, Redis server program and
# running Redis server (the last for `make run` only).

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Go's own build cache knows what is up to date, so every build target is phony
# (by FORCE where its name is a pattern).
.PHONY: FORCE hot help tools toolchains chromium build image run sim test test-istio test-long test-race screenshot
.PHONY: cache-tests degradation soak bench bench-peers bench-chat bench-reach bench-bridge lint clean
.PHONY: build/chatcache.wasm build/noop.wasm build/redisbridge build/bare build/image build/hostsim build/policy build/run build/sim build/pilot-agent

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools: ## fetch Envoy and Valkey into .tools/ (pinned and hash-checked; no root needed)
	@test/tools/fetch.sh

chromium: ## install Chromium for the test of the bridge's page, as `make test` does (Debian, as root; otherwise CHROMIUM= names yours)
	@test/tools/chromium.sh

toolchains: ## fetch the compilers of hostsim's samples in C, AssemblyScript and Rust, as `make test` does
	@test/tools/toolchains.sh

build: build/chatcache.wasm build/redisbridge build/hostsim build/policy ## build the filter and the programs into build/

# Neither the directory nor the state of the checkout enters what is deployed: the same sources and VERSION= give the same bytes.
REPRODUCIBLE := -trimpath -buildvcs=false

# $(call wasm,NAME,PACKAGE): with names of functions, which gowasm needs and leaves out; filter/hot.txt has those that each request calls (make hot).
define wasm
	GOOS=wasip1 GOARCH=wasm go build $(REPRODUCIBLE) -ldflags=-w -buildmode=c-shared -o build/$(1).go.wasm $(2)
	@GOOS= GOARCH= go run ./gowasm/cmd/gowasm --first filter/hot.txt build/$(1).go.wasm build/$(1).wasm
endef

build/chatcache.wasm:
	$(call wasm,chatcache,./filter)

hot: ## write filter/hot.txt anew
	CHATCACHE_HOT=1 go test -count=1 -run HotFunctions ./test/mesh

VERSIONED = -X chatcache/redisbridge.version=$(VERSION)

build/redisbridge:
	go build -ldflags='$(VERSIONED)' -o $@ ./redisbridge/cmd/redisbridge

build/linux-%/redisbridge: FORCE
	CGO_ENABLED=0 GOOS=linux GOARCH=$* go build $(REPRODUCIBLE) -ldflags='-s -w $(VERSIONED)' -o $@ ./redisbridge/cmd/redisbridge

build/image:
	go build -o $@ ./envoy/cmd/image

# REGISTRY= pushes both, as REGISTRY/chatcache:VERSION and REGISTRY/chatcache-redisbridge:VERSION.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null)
# Asked once: both bridges of an image are of one version, though the checkout changes meanwhile.
VERSION := $(VERSION)
REVISION := $(REVISION)
DESCRIPTION = --version '$(VERSION)' --revision '$(REVISION)' --source '$(SOURCE)'

image: build/chatcache.wasm build/linux-amd64/redisbridge build/linux-arm64/redisbridge build/image ## OCI images of the filter and the bridge in build/oci, without Docker (REGISTRY= pushes them; VERSION=, SOURCE=)
	@build/image filter --wasm build/chatcache.wasm --layout build/oci/chatcache $(DESCRIPTION) \
		$(if $(REGISTRY),--push '$(REGISTRY)/chatcache:$(VERSION)')
	@build/image bridge --binary amd64=build/linux-amd64/redisbridge --binary arm64=build/linux-arm64/redisbridge \
		--layout build/oci/chatcache-redisbridge $(DESCRIPTION) \
		$(if $(REGISTRY),--push '$(REGISTRY)/chatcache-redisbridge:$(VERSION)')

build/hostsim:
	go build -o $@ ./hostsim/cmd/hostsim

build/policy:
	go build -o $@ ./policy/cmd/policy

build/pilot-agent:
	cd test/istio && go build -o ../../$@ istio.io/istio/pilot/cmd/pilot-agent

build/sim:
	go build -o $@ ./test/stack/cmd/sim

build/run:
	go build -o $@ ./test/stack/cmd/run

run: tools build/chatcache.wasm build/redisbridge build/run ## start sample chat API, Valkey, bridge and Envoy; Ctrl-C stops them
	@exec build/run

sim: build/chatcache.wasm build/redisbridge build/hostsim build/sim ## the same without Envoy and Redis: the filter in the simulator; Ctrl-C stops it
	@exec build/sim

# The meshes under test/ take a part that doesn't answer within tens of
# milliseconds for broken, so they have the machine to themselves, one by one.
# The modules of their own run anew each time: go doesn't see that they read files outside of themselves.
test: tools toolchains chromium build lint ## everything that must hold: unit, simulator, and end to end on real Envoy and Valkey
	export CHATCACHE_REQUIRE=1 ENVOY="$${ENVOY:-$(CURDIR)/.tools/envoy}" VALKEY="$${VALKEY:-$(CURDIR)/.tools/valkey-server}"; \
	go test -timeout 20m $$(go list ./... | grep -v /test/) && \
	go test -timeout 30m -p 1 ./test/... && \
	(cd test/deploy && go test -count=1 ./...) && \
	(cd test/monitoring && go test -count=1 -timeout 20m .) && \
	(cd test/browser && go test -count=1 -timeout 20m .)

test-istio: tools ## the filter under Istio's control plane and its real pilot-agent (compiles Istio: 8 minutes, once)
	@test/istio/build.sh
	cd test/istio && CHATCACHE_REQUIRE=1 ENVOY="$${ENVOY:-$(CURDIR)/.tools/envoy}" VALKEY="$${VALKEY:-$(CURDIR)/.tools/valkey-server}" \
		go test -count=1 -timeout 20m -v ./...

test-race: tools toolchains ## what has goroutines, with the race detector (needs a C compiler): five minutes
	CGO_ENABLED=1 CHATCACHE_REQUIRE=1 ENVOY="$${ENVOY:-$(CURDIR)/.tools/envoy}" VALKEY="$${VALKEY:-$(CURDIR)/.tools/valkey-server}" \
		go test -race -count=1 -timeout 20m ./redisbridge/... ./hostsim ./policy ./filter/internal/exchange

test-long: tools ## what takes longer: bigger models of the protocol, many random schedules
	CHATCACHE_LONG=1 go test -count=1 -timeout 30m -run ProtocolLong ./test/model
	CHATCACHE_SCHEDULES=10000000 CHATCACHE_MIXED_SCHEDULES=1000000 CHATCACHE_UNRULED_SCHEDULES=300000 go test -count=1 -timeout 5h -run 'Test(Mixed|Unruled)?Schedules$$' ./filter/internal/sched
	CHATCACHE_REPLAYS=1000 go test -count=1 -timeout 30m -run 'TestReplayOnWasm$$' ./filter/internal/sched
	CHATCACHE_MUTANTS=all go test -count=1 -timeout 60m -v -run 'TestMutants$$' ./filter/internal/sched
	CHATCACHE_SEEDS=300 go test -count=1 -timeout 30m -run RandomSchedules ./test/mesh
	CHATCACHE_SEEDS=300 go test -count=1 -timeout 60m -run Simulated ./test/linear
	CHATCACHE_LONG=1 go test -count=1 -timeout 60m -run Mutants ./test/linear
	CHATCACHE_LONG=1 go test -count=1 -timeout 60m -v -run StandardLibrary ./test/gowasm
	CHATCACHE_REQUIRE=1 CHATCACHE_LINEAR=5m go test -count=1 -timeout 60m -run Real ./test/linear

cache-tests: tools build/chatcache.wasm build/redisbridge ## conformance to RFC 9111 by the tests of cache-tests.fyi (CACHE_TESTS=their checkout; Node): four minutes
	go run ./test/cachetests -checkout '$(CACHE_TESTS)'

degradation: tools ## what each fault costs under steady load on real Envoys: a table, in four minutes
	CHATCACHE_REQUIRE=1 CHATCACHE_DEGRADATION=$(or $(LASTS),5s) go test -count=1 -timeout 30m -v -run Degradation ./test/degradation

screenshot: tools chromium ## the picture of the bridge's page in the README, of a real mesh
	cd test/browser && CHATCACHE_REQUIRE=1 ENVOY="$${ENVOY:-$(CURDIR)/.tools/envoy}" VALKEY="$${VALKEY:-$(CURDIR)/.tools/valkey-server}" \
		CHATCACHE_SCREENSHOT=$(CURDIR)/redisbridge/page/screenshot.png go test -count=1 -run RealMesh .

soak: tools build/chatcache.wasm build/redisbridge ## memory over 10 million different keys, half an hour or more (KEYS=n for fewer)
	go run ./test/bench/soak -keys $(or $(KEYS),10000000)

build/noop.wasm:
	$(call wasm,noop,./test/bench/proxy/noop)

bench: tools build/chatcache.wasm build/noop.wasm build/redisbridge ## what a request costs, with the filter and without, each target met or not: a quarter of an hour (ROWS=regexp for some)
	go run ./test/bench/proxy -rows '$(ROWS)' $(if $(ROWS),,-json test/bench/proxy/result.json -markdown test/bench/proxy/RESULT.md)

bench-peers: tools build/chatcache.wasm build/noop.wasm build/redisbridge ## the hits of bench beside nginx, nginx with Lua and Redis, Varnish, Node with ioredis, as far as they are installed (Debian: nginx-core, libnginx-mod-http-lua, lua-nginx-redis, varnish, nodejs, npm)
	go run ./test/bench/proxy -peers -rows 'hit, 1 KiB(, 10 entries)?$$' -json test/bench/proxy/peers.json -markdown test/bench/proxy/PEERS.md

bench-chat: tools build/chatcache.wasm build/redisbridge ## what chat users wait for, with the filter and without, and what the backend is spared: three minutes
	go run ./test/bench/chat -json test/bench/chat/result.json -markdown test/bench/chat/RESULT.md

bench-reach: tools build/chatcache.wasm build/redisbridge ## how long a raise takes to reach 64 workers, and what a purge costs with a million entries
	go run ./test/bench/reach -json test/bench/reach/result.json

build/bare:
	go build -o $@ ./test/bench/bridge/bare

bench-bridge: tools build/redisbridge build/bare ## what one bridge bears: a lookup's cost, memory with ten thousand followers, a raise to two thousand VMs: two minutes
	go run ./test/bench/bridge -json test/bench/bridge/result.json -markdown test/bench/bridge/RESULT.md

lint: ## go vet and gofmt
	go vet ./...
	GOOS=wasip1 GOARCH=wasm go vet ./filter/...
	cd test/browser && go vet ./...
	@unformatted=$$(gofmt -l filter gowasm policy hostsim redisbridge envoy test); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w on:"; echo "$$unformatted"; exit 1; fi

clean: ## remove what was built and fetched
	rm -rf build .tools
