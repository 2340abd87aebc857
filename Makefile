# Targets are told by `make help`. Everything needs Go, gcc and make; `make build` needs nothing else.
SHELL := /bin/bash

GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 20s
# make check vets everything; go test would do a part of it again, once for each way of building.
GOTEST := go test -vet=off
# Packages in which goroutines meet: they run once more under the race detector, the longest first.
RACE := ./compaction/... ./query/... ./objectstore/... ./indexer/... ./catalog/... ./duckdb/... ./consumer/... ./coordinator/... ./peer/... ./rollup/fold/... ./api/... ./internal/app/... ./internal/secure/...

.PHONY: help build parts dev test test-e2e test-long race fuzz bench check fmt clean

help: ## tell what each target does
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

build: ## build bin/drumlin
	go build -o bin/drumlin ./cmd/drumlin

parts: ## install what the cluster tests run beside drumlin into bin/parts: versitygw, etcd, Apache Kafka's jars
	scripts/parts

dev: build ## build and run every role in one process, with its data in ./drumlin-data; ARGS="--http …" adds arguments
	bin/drumlin dev $(ARGS)

# The tests of the whole start the binary that was just built, instead of one of their own for each package.
BUILT := DRUMLIN_TEST_BINARY=$(CURDIR)/bin/drumlin

# Tests that start Apache Kafka, etcd and an S3 server as processes and drumlin in several.
E2E := ./tests/cluster/... ./tests/kafka/...

test: build ## run all tests but those of test-e2e, the short profile
	$(BUILT) $(GOTEST) -timeout 14m $$(go list ./... | grep -v -E '/tests/(cluster|kafka)(/|$$)')

test-e2e: build parts ## run drumlin as separate processes over Apache Kafka, etcd and an S3 server; DRUMLIN_TEST_LONG=1: the long profile
	$(BUILT) $(GOTEST) -p 1 -timeout $(if $(DRUMLIN_TEST_LONG),12h,25m) $(E2E)

test-long: build parts ## run all tests, the long profile: hours
	$(BUILT) DRUMLIN_TEST_LONG=1 $(GOTEST) -timeout 12h ./...

race: ## run the packages where goroutines meet under the race detector, with -short: few rounds, no large inputs
	$(GOTEST) -race -short -timeout 14m $(RACE)

fuzz: ## run every fuzz target for FUZZTIME
	FUZZTIME=$(FUZZTIME) scripts/fuzz

bench: ## run the benchmarks, each beside its floor
	go test -timeout 60m -run '^$$' -bench . -benchtime 9x ./tests/bench/...

check: ## formatting, vet, staticcheck, layers, tidiness of go.mod
	@out=$$(go run $(GOFUMPT) -l .) && { [ -z "$$out" ] || { echo "not formatted (make fmt):"; echo "$$out"; exit 1; }; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go test ./internal/lint/
	go mod tidy -diff

fmt: ## format the source files
	go run $(GOFUMPT) -w .

clean: ## remove what was built; data stays
	rm -rf bin
