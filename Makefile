# Bare make prints the targets.

GO          ?= go
FUZZTIME    ?= 30s
SOAK        ?= 1m
DAMAGES     ?= 10000
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Every directory with a go.mod is a module of its own.
MODULES := $(sort $(patsubst %/,%,$(dir $(shell find . -name go.mod -not -path './.*'))))

# Those with tests. bench/commits has none, and many dependencies.
TESTED := $(filter-out ./bench/commits,$(MODULES))

# $(call each,modules,command) runs a command in modules, and fails if it failed in any.
each = @ok=0; for m in $(1); do echo "== $$m: $(2)"; (cd $$m && $(2)) || ok=1; done; exit $$ok

.PHONY: help
help: ## print this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/kvctl and bin/codesearch
	cd cmd/kvctl && $(GO) build -o ../../bin/ .
	$(GO) build -o bin/ ./examples/codesearch

.PHONY: demo
demo: build ## index the source of Go into demo/code.folio, ask it, look into it
	@mkdir -p demo
	@rm -f demo/code.folio
	bin/codesearch -db demo/code.folio -src "$$($(GO) env GOROOT)/src"
	@echo
	bin/kvctl stats demo/code.folio
	@echo
	bin/kvctl check demo/code.folio

.PHONY: test
test: ## run all tests of all modules
	$(call each,$(TESTED),$(GO) test -timeout 20m ./...)

.PHONY: race
race: ## run all tests under the race detector, which implies the invariants
	$(call each,$(TESTED),$(GO) test -race -short -timeout 20m ./...)

.PHONY: invariants
invariants: ## run all tests with the invariants checked
	$(call each,$(TESTED),$(GO) test -tags invariants -short -timeout 20m ./...)

.PHONY: lint
lint: ## gofmt, go mod tidy, vet, staticcheck
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted, run gofmt -w:" $$files; exit 1; fi
	$(GO) mod tidy -diff
	$(call each,$(MODULES),$(GO) vet ./...)
	$(call each,$(MODULES),$(GO) run $(STATICCHECK) ./...)

CROSS := darwin/amd64 darwin/arm64 freebsd/amd64 freebsd/arm64 windows/amd64 windows/arm64 linux/arm64 linux/386 linux/s390x

.PHONY: cross
cross: ## build and vet for other systems and processors
	@set -e; for t in $(CROSS); do for m in . cmd/kvctl boltcompat; do \
		echo "== $$t: $$m"; \
		(cd $$m && export CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} && $(GO) build ./... && $(GO) vet ./...); \
	done; done

# What the emulator runs of the root package: it takes ten times as long there.
EMULATED := ^(TestModel|TestFormat.*|TestGolden.*|TestSavepoint.*|TestBad.*|TestRecover.*|TestLimits.*|Example.*)$$

.PHONY: s390x
s390x: ## run the short tests on an emulated big-endian processor; needs qemu-s390x
	@command -v qemu-s390x >/dev/null || { \
		echo "qemu-s390x is not installed: it is in the package qemu-user of Debian and Ubuntu"; exit 1; }
	FOLIO_EMULATED=1 CGO_ENABLED=0 GOARCH=s390x $(GO) test -short -exec qemu-s390x ./btree ./freelist ./meta ./pager ./internal/...
	FOLIO_EMULATED=1 CGO_ENABLED=0 GOARCH=s390x $(GO) test -short -exec qemu-s390x -run '$(EMULATED)' -model.n 2 .

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME each (30s)
	@set -e; for m in $(MODULES); do cd $(CURDIR)/$$m; for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "== $$p: $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$p; \
		done; \
	done; done

.PHONY: bench
bench: ## compare with bbolt, in one run; BENCHFLAGS goes to the program
	$(GO) -C bench run . $(BENCHFLAGS)

.PHONY: bench-commits
bench-commits: ## compare durable puts by many goroutines with bbolt, Pebble and Badger
	$(GO) -C bench/commits run . $(BENCHFLAGS)

.PHONY: compat
compat: compat-api compat-bolt compat-clients ## all about programs written for bbolt

.PHONY: compat-api
compat-api: ## which names of bbolt has boltcompat not, and does its README say why?
	$(GO) -C boltcompat run ./internal/apidiff

.PHONY: compat-bolt
compat-bolt: ## run bbolt's own tests on boltcompat; COMPATFLAGS=-long for those that take minutes
	$(GO) -C boltcompat run ./internal/bolttests $(COMPATFLAGS)

.PHONY: compat-clients
compat-clients: ## run the tests of programs that use bbolt on boltcompat; CLIENTS=-all for the large ones too
	$(GO) -C boltcompat run ./internal/clients $(CLIENTS)

.PHONY: compat-soak
compat-soak: ## run a small service on boltcompat for SOAK (1m) and compare with what it remembers
	$(GO) -C boltcompat run ./internal/soak -for $(SOAK)

.PHONY: compat-bench
compat-bench: ## what does a call through boltcompat cost, beside folio's own and bbolt's?
	$(GO) -C boltcompat run ./internal/callbench

.PHONY: golden
golden: ## write missing golden files, the expected outputs of kvctl and the tables of docs/format.md
	$(GO) test -run 'Golden|Format' . -update-golden
	cd cmd/kvctl && $(GO) test -run Golden . -update
	$(GO) test ./internal/layout -update

.PHONY: crash
crash: ## stop a database at every point of short runs
	$(GO) test -run Crash -short .

.PHONY: crash-long
crash-long: ## the same with CRASHES times (20) as many random ones, and a line with the sum; SEED= repeats a run
	$(GO) test -run Crash -v -timeout 0 . -crash.n $(or $(CRASHES),20) $(if $(SEED),-seed $(SEED))

.PHONY: crash-bugs
crash-bugs: ## plant bugs one by one, and see that the crash tests notice each
	$(GO) test -tags foliobugs -run TestPlantedBugs -v -timeout 20m .

.PHONY: crash-kill
crash-kill: ## kill processes at 1,800 random instants
	$(GO) -C crash run ./kill $(if $(SEED),-seed $(SEED))

.PHONY: crash-kill-long
crash-kill-long: ## the same with CRASHES times (100) as many; SEED= repeats a run
	$(GO) -C crash run ./kill -count $$((60 * $(or $(CRASHES),100))) $(if $(SEED),-seed $(SEED))

.PHONY: crash-power
crash-power: ## cut the power of ext4 and xfs in 6,000 states; needs root, FUSE and loop devices
	$(GO) -C crash run ./power $(if $(SEED),-seed $(SEED))

.PHONY: crash-power-long
crash-power-long: ## the same with CRASHES times (100) as many; SEED= repeats a run
	$(GO) -C crash run ./power -sessions $$((60 * $(or $(CRASHES),100))) $(if $(SEED),-seed $(SEED))

.PHONY: crash-share
crash-share: ## kill, stop and start processes that share a file, for a minute
	$(GO) -C crash run ./share $(if $(SEED),-seed $(SEED))

.PHONY: crash-share-long
crash-share-long: ## the same on CRASHES files (100), one minute each; SEED= repeats a run
	$(GO) -C crash run ./share -count $(or $(CRASHES),100) $(if $(SEED),-seed $(SEED))

.PHONY: damage
damage: ## damage files in DAMAGES (10000) ways of each kind, and say what becomes of each; SEED= repeats one
	$(GO) test -run 'TestDamage(Table|SealedFields)$$' -v -timeout 0 . -damage.n $(DAMAGES) $(if $(SEED),-seed $(SEED))

.PHONY: docs-check
docs-check: ## are the tables, the links and the examples of the documentation right?
	$(GO) test ./internal/layout
	$(GO) test -run Example ./...
	@set -e; for f in *.md docs/*.md boltcompat/*.md; do [ -e "$$f" ] || continue; \
		for l in $$(grep -o '](\([^)#]*\)' "$$f" | sed 's/^](//' | grep -v '^[a-z]*:' || true); do \
			[ -e "$$(dirname $$f)/$$l" ] || { echo "$$f: a link to $$l, which is not there"; exit 1; }; \
		done; \
	done; echo "links: ok"

.PHONY: ci
ci: ## all that is run for each change
	.ci/run

.PHONY: clean
clean: ## remove what the other targets have made
	rm -rf bin demo
