# Postern. `make` alone lists what can be done.
SHELL   := /bin/bash
CACHE   := $(or $(POSTERN_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/postern)
LINT    := $(CACHE)/bin/golangci-lint-v2.15.0
BENCH   ?= .
# Where the installed parts are; written by deploy/tools/install.
PARTS   := if [ -f $(CACHE)/tools.env ]; then set -a; . $(CACHE)/tools.env; set +a; fi
export POSTERN_CACHE := $(CACHE)

.DEFAULT_GOAL := help
.PHONY: help run demo test check lint bench chaos clean build tools test-tools
help: ## show this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: tools build ## start everything on this machine, play the main job, stay up
	@$(PARTS); exec bin/postern dev --play

demo: build ## play the main job once more against the running stack
	@bin/postern demo

test: test-tools build ## run every test, against real PostgreSQL, Kafka, browser and applications
	@$(PARTS); deploy/tools/test ./...

check: ## format, vet, lint and the short tests
	@$(PARTS); deploy/tools/check

lint: $(LINT) ## run the linters
	@$(LINT) run ./...

bench: test-tools build ## measure, each figure beside its floor in the same run
	@$(PARTS); deploy/tools/bench '$(BENCH)'

chaos: test-tools ## do the worst to the audit stream at full size: 200,000 events, and 1,000,000 while a receiver is down
	@$(PARTS); export POSTERN_TEST_REQUIRE=1; \
	POSTERN_CHAOS_EVENTS=200000 go test ./conformance/chaos -v -count=1 -timeout 4h && \
	POSTERN_OUTAGE_EVENTS=1000000 go test ./siem/sink -v -count=1 -run TestMemoryWhileAReceiverIsDown -timeout 4h

build: ## build bin/postern
	@go build -o bin/postern ./gateway/cmd/postern

tools: ## install what running needs: PostgreSQL, a headless browser
	@deploy/tools/install run

test-tools: ## install what testing needs besides
	@deploy/tools/install test

$(LINT):
	@echo "building golangci-lint …"
	@mkdir -p $(CACHE)/bin/build && GOBIN=$(CACHE)/bin/build go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	@mv $(CACHE)/bin/build/golangci-lint $@

clean: ## remove what was built; development data stays ('bin/postern dev --help' says where)
	@rm -rf bin
