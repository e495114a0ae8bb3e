FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /glance_share_exporter .

FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=unknown
LABEL org.opencontainers.image.title="glance_share_exporter" \
      org.opencontainers.image.description="Tells Prometheus who can use which OpenStack image" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /glance_share_exporter /bin/glance_share_exporter
COPY exporter.yml /etc/glance_share_exporter/exporter.yml
EXPOSE 10292
USER nonroot
ENTRYPOINT ["/bin/glance_share_exporter"]
CMD ["--config.file=/etc/glance_share_exporter/exporter.yml"]
