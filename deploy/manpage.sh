#!/usr/bin/env bash
# Prints the man page: deploy/man/glance_share_exporter.1.in, with the flags as the program describes them.
#
#     deploy/manpage.sh PROGRAM VERSION
#
# SOURCE_DATE_EPOCH is the date of the page, by default that of the last commit.
set -euo pipefail
program=$(realpath "${1:?usage: deploy/manpage.sh PROGRAM VERSION}")
version=${2:?usage: deploy/manpage.sh PROGRAM VERSION}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
date=$(date -u -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" +%F)
options=$(mktemp)
trap 'rm -f "$options"' EXIT
"$program" --help-man | sed '1,/^\.SH "OPTIONS"$/d; s/-/\\-/g; s/^\(\\fB[^=]*\)=\(.*\)\\fR$/\1\\fR=\\fI\2\\fR/' >"$options"
sed -e "s/@DATE@/$date/; s/@VERSION@/${version//-/\\\\-}/" -e "/^@OPTIONS@$/ { r $options" -e 'd; }' deploy/man/glance_share_exporter.1.in
