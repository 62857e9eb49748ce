# Everything floe is made, tried and shown with. `make help` lists the targets.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOOS    ?= linux
GOARCH  ?= amd64
BIN     ?= bin

# What Kubernetes clients are told: floe serves the API of this version.
KUBE_VERSION = v1.36.3
KUBE_STAMP   = -X k8s.io/component-base/version.gitVersion=$(KUBE_VERSION) \
               -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36
STAMP        = -X main.version=$(VERSION)
STATIC       = CGO_ENABLED=0 GOOS=$(GOOS) GOARCH=$(GOARCH)
CC_arm64     = aarch64-linux-gnu-gcc
CC_amd64     = gcc

# floe-shim needs cgo (libcontainer, libseccomp); its tests and all others take the same tags.
SHIM_TAGS = seccomp,netgo,osusergo
TEST_TAGS = invariants,seccomp

CARRIED = floe-shim floe-tool floe-kubectl floe-bench

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## install the Debian packages that building needs, when they are missing
	@hack/deps

.PHONY: build
build: deps ## build bin/floe, with the programs it carries
	@hack/build $(BIN) $(GOARCH) "$(STAMP)" "$(KUBE_STAMP)" "$(SHIM_TAGS)"

.PHONY: run
run: build ## start a cluster on this machine, run examples/hello on it, and stay until Ctrl-C
	@hack/run $(BIN)/floe

.PHONY: test
test: build check ## all tests: house rules, units, real containers
	@hack/test "$(TEST_TAGS)"

.PHONY: check
check: deps ## formatting, vet, staticcheck, house rules and quick unit tests
	@hack/check "$(TEST_TAGS)"

.PHONY: nightly
nightly: build ## the store's tests with kills and random histories, thousands of them
	@hack/test "$(TEST_TAGS),nightly" ./internal/store/...

FUZZTIME ?= 3m

.PHONY: fuzz
fuzz: deps ## every fuzz target in turn, each for FUZZTIME (3m: about an hour and a half)
	@hack/fuzz "$(TEST_TAGS)" $(FUZZTIME)

.PHONY: generate
generate: ## make the data files that are made from the API's Go types
	@hack/generate

.PHONY: bench
bench: build ## benchmarks of the parts, then of the whole: start, memory, pods (needs root; PARTS=0 leaves the parts out)
	@hack/bench $(BIN)/floe

.PHONY: compare
compare: build ## measure upstream's own programs and floe the same way, and record what they answered
	@hack/compare $(BIN)

.PHONY: conformance
conformance: build ## run upstream's end-to-end specs that pass, or those of FOCUS, a regular expression, against floe
	@hack/conformance $(BIN) "$(FOCUS)"

.PHONY: suites
suites: build ## run other projects' suites for envtest, unchanged, on floe; ONLY: those that match a regular expression
	@hack/suites $(BIN)/floe "$(ONLY)"

.PHONY: dist
dist: ## static programs for linux/amd64 and linux/arm64
	@hack/dist "$(STAMP)" "$(KUBE_STAMP)" "$(SHIM_TAGS)"

.PHONY: clean
clean: ## remove what was built
	rm -rf $(BIN) dist
