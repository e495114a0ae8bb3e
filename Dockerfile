# Builds for any platform that Go knows, on the one that it runs on: docker build --platform linux/amd64,linux/arm64
# buildah and podman keep HEALTHCHECK only with --format docker.
# What it is built with. Pin it by its digest: --build-arg GO_IMAGE=golang:1.26-bookworm@sha256:...
ARG GO_IMAGE=golang:1.26-bookworm

FROM --platform=$BUILDPLATFORM $GO_IMAGE AS build
WORKDIR /src
# Where the modules come from, if not from where Go looks by itself.
ARG GOPROXY
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=unknown
ARG REVISION=unknown
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X github.com/prometheus/common/version.Version=$VERSION -X github.com/prometheus/common/version.Revision=$REVISION" \
    -o /glance_share_exporter . && go run ./deploy/notices /glance_share_exporter >/NOTICES.txt

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="glance_share_exporter" \
      org.opencontainers.image.description="Prometheus exporter that shows who can use which OpenStack image" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /glance_share_exporter /bin/glance_share_exporter
COPY --from=build /src/LICENSE /NOTICES.txt /usr/share/doc/glance_share_exporter/
# No exporter.yml: whoever has put a password into the one beside this file must not find it in a layer.
EXPOSE 10292
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/bin/glance_share_exporter", "--healthcheck"]
ENTRYPOINT ["/bin/glance_share_exporter"]
CMD ["--config.file=/etc/glance_share_exporter/exporter.yml"]
