FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /glance_share_exporter .

FROM scratch
ARG VERSION=unknown
LABEL org.opencontainers.image.title="glance_share_exporter" \
      org.opencontainers.image.description="Tells Prometheus who can use which OpenStack image" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /glance_share_exporter /bin/glance_share_exporter
COPY exporter.yml /etc/glance_share_exporter/exporter.yml
EXPOSE 10292
USER 65532:65532
ENTRYPOINT ["/bin/glance_share_exporter"]
CMD ["--config.file=/etc/glance_share_exporter/exporter.yml"]
