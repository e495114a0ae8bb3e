#!/usr/bin/env bash
# Checks all that is packed around the exporter: chart, compose and SBOM, unit, release, deb and image, and what it is built from
# for known vulnerabilities. As root on Debian 12 with Go; it takes some ten minutes, most of them the image's.
#
# GOVULNDB is the URL of the database of vulnerabilities, if it is not Go's own.
#
#     apt-get install -y --no-install-recommends buildah podman runc curl systemd mandoc man-db zsh prometheus prometheus-alertmanager
#     deploy/check.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

printf '== known vulnerabilities\n'
database=${GOVULNDB:-https://vuln.go.dev} unchecked=
if curl -sSfL --max-time 20 -o /dev/null "$database/index/db.json"; then
  (cd .. && go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 -db "$database" ./...)
else
  unchecked=", but NOT CHECKED for known vulnerabilities: $database cannot be reached, set GOVULNDB to a mirror"
  echo "${unchecked#, but }" >&2
fi
printf '== chart, compose.yaml, SBOM\n'
(cd tools && go mod tidy -diff && go vet ./... && go test -count=1 ./...)
printf '== unit\n'
./check-unit.sh
printf '== release\n'
./check-release.sh
printf '== deb\n'
./check-deb.sh
printf '== image\n'
./check-image.sh
printf '== all is well after %d s%s\n' "$SECONDS" "$unchecked"
