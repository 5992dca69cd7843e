# Postern. `make` alone lists what can be done.
SHELL   := /bin/bash
CACHE   := $(or $(POSTERN_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/postern)
LINT    := $(CACHE)/bin/golangci-lint-v2.15.0
BENCH   ?= .
DEMO    ?= --play
-include $(CACHE)/tools.mk
export POSTERN_CACHE := $(CACHE)

.DEFAULT_GOAL := help
.PHONY: help run demo test check lint bench clean tools test-tools build
help: ## show this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-10s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: tools build ## start everything on this machine, play the main job, stay up
	@bin/postern dev $(DEMO)

demo: ## play the main job once more against the running stack
	@bin/postern demo

test: test-tools build ## run every test, against real PostgreSQL, Kafka, browser and applications
	@deploy/tools/test ./...

check: ## format, vet, lint and the tests that need no more than PostgreSQL
	@deploy/tools/check

lint: $(LINT) ## run the linters
	@$(LINT) run ./...

bench: test-tools ## measure, each figure beside its floor in the same run
	@deploy/tools/bench '$(BENCH)'

build: ## build bin/postern
	@go build -o bin/postern ./gateway/cmd/postern

tools:
	@deploy/tools/install run
test-tools:
	@deploy/tools/install test

$(LINT):
	@echo "building golangci-lint …"
	@mkdir -p $(CACHE)/bin && GOBIN=$(CACHE)/bin/build go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	@mv $(CACHE)/bin/build/golangci-lint $@ && rmdir $(CACHE)/bin/build

clean: ## remove what was built and the development data
	@rm -rf bin
	@echo "development data stays in $${POSTERN_DATA:-its folder}; 'bin/postern dev --help' says where"
