#!/usr/bin/env bash
# Checks all that is packed around the exporter: chart, compose and SBOM, unit, release and image. As root on Debian 12 with Go;
# it takes some ten minutes, most of them the image's.
#
#     apt-get install -y --no-install-recommends buildah podman runc curl systemd mandoc man-db zsh prometheus prometheus-alertmanager
#     deploy/check.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

printf '== chart, compose.yaml, SBOM\n'
(cd tools && go mod tidy -diff && go vet ./... && go test -count=1 ./...)
printf '== unit\n'
./check-unit.sh
printf '== release\n'
./check-release.sh
printf '== image\n'
./check-image.sh
printf '== all is well after %d s\n' "$SECONDS"
