#!/usr/bin/env bash
# Makes dist/: per platform an archive with the program, its documents and the licences of all that it is linked with, a package for
# Debian, and a list of what it was built from (SBOM, CycloneDX); and the SHA-256 checksums of all. The same sources, Go and version
# make the same bytes.
#
#     deploy/release.sh 1.2.3
#
# SOURCE_DATE_EPOCH is the time of all files, by default that of the last commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=${1:?usage: deploy/release.sh VERSION}
version=${version#v}
name=glance_share_exporter
package=github.com/prometheus/common/version # where the program has its version
revision=$(git rev-parse HEAD)
[ -z "$(git status --porcelain --untracked-files=no)" ] || revision+=-dirty
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} CGO_ENABLED=0 LC_ALL=C TZ=UTC
umask 022

dist=${DIST:-dist}
rm -rf "$dist"
mkdir -p "$dist"
dist=$(cd "$dist" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build() { # GOARCH OUTPUT
  GOOS=linux GOARCH=$1 go build -trimpath -buildvcs=false \
    -ldflags "-s -w -X $package.Version=$version -X $package.Revision=$revision" -o "$2" .
}

go build -C deploy/tools -buildvcs=false -o "$work/sbom" ./sbom
go build -buildvcs=false -o "$work/notices" ./deploy/notices
go build -C deploy/tools -buildvcs=false -o "$work/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm
build "$(go env GOHOSTARCH)" "$work/host"
for arch in amd64 arm64; do
  base=$name-$version.linux-$arch
  dir=$work/$base
  mkdir -p "$dir"/{dashboards,deploy/systemd,docs/zh-CN,completion}
  build "$arch" "$dir/$name"
  cp LICENSE README.md README.zh-CN.md CHANGELOG.md CONTRIBUTING.md SECURITY.md exporter.yml "$dir/"
  "$work/notices" "$dir/$name" >"$dir/NOTICES.txt"
  cp docs/*.md "$dir/docs/"
  cp docs/zh-CN/*.md "$dir/docs/zh-CN/"
  cp dashboards/{README.md,alerts.rules.yml,alertmanager.yml,image-sharing.json,mixin.libsonnet,runbooks.md,*.png} "$dir/dashboards/"
  cp deploy/systemd/* "$dir/deploy/systemd/"
  deploy/manpage.sh "$work/host" "$version" >"$dir/$name.1"
  "$work/host" --completion-script-bash >"$dir/completion/$name.bash"
  cp "deploy/completion/_$name" "$dir/completion/"
  find "$dir" -type f -exec chmod 644 {} +
  chmod 755 "$dir/$name"
  tar --create --directory "$work" --format gnu --sort name --mtime "@$SOURCE_DATE_EPOCH" --owner 0 --group 0 --numeric-owner "$base" |
    gzip --no-name --best >"$dist/$base.tar.gz"
  deploy/deb/build.sh "$work/nfpm" "$dir" "$version" "$arch" "$dist"
  "$work/sbom" -version "$version" -time "$SOURCE_DATE_EPOCH" "$dir/$name" >"$dist/$base.cdx.json"
done
cd "$dist"
sha256sum -- *.tar.gz *.deb *.cdx.json >sha256sums.txt
