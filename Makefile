VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: build test mutations soak chaos bench race lint alerts e2e page demo docker release release-check clean

build: ; CGO_ENABLED=0 go build -trimpath -ldflags "-X github.com/prometheus/common/version.Version=$(VERSION)" -o glance_share_exporter .
test: ; go test ./...
mutations: ; GLANCE_MUTATIONS=1 go test ./internal/mutate -count=1 -v
soak: ; GLANCE_SOAK=$${GLANCE_SOAK:-30m} go test -count=1 -timeout 0 -run TestSoak -v .
chaos: ; GLANCE_CHAOS=$${GLANCE_CHAOS:-10m} go test -tags e2e -count=1 -timeout 30m -run TestChaos -v ./internal/e2e
bench: ; go test ./collector -run '^$$' -bench 'Wall|CPU|Memory|Growth' -benchtime 5x
race: ; go test -race -count=1 ./...
lint: ; go run $(GOLANGCI_LINT) run
alerts: ; dashboards/check.sh
e2e: ; go test -tags e2e -count=1 -timeout 20m -v ./internal/e2e
page: ; cd internal/pagetest && go test -count=1 -parallel 6 -v .
demo: ; go run . --demo
docker: ; docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) -t glance_share_exporter:$(VERSION) .
release: ; deploy/release.sh $(VERSION)
release-check: ; deploy/check.sh
clean: ; rm -rf glance_share_exporter dist
