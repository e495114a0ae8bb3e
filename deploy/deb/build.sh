#!/usr/bin/env bash
# Makes a package for Debian of the directory of an archive. The program and the unit are where packages have them, and the unit
# runs as a user of the system's, who can read what is in /etc/glance_share_exporter and belongs to its group.
#
#     deploy/deb/build.sh NFPM DIRECTORY VERSION GOARCH DIST
set -euo pipefail
nfpm=$1 dist=$5
export VERSION=$3 ARCH=$4
[[ $VERSION == [0-9]* ]] || VERSION=0~$VERSION # Debian's versions begin with a digit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$2" "$work/archive"
cp "$(dirname "${BASH_SOURCE[0]}")"/{nfpm.yaml,postinst,prerm,postrm} "$work/"
cd "$work"

unit=glance_share_exporter.service
sed -e '1,/^\[Unit\]$/{/^#/d}' -e '/^# Copied when the unit starts/d' -e '/^LoadCredential=/d' -e 's#/usr/local/bin/#/usr/bin/#' \
  -e 's/^DynamicUser=yes$/User=glance-share-exporter\nGroup=glance-share-exporter/' "archive/deploy/systemd/$unit" >$unit
gzip --no-name --best <archive/glance_share_exporter.1 >glance_share_exporter.1.gz
"$nfpm" package --packager deb --target "$dist/glance-share-exporter_${VERSION}_$ARCH.deb" >log || { cat log >&2; exit 1; }
