#!/usr/bin/env bash
# Makes a release twice, from two directories, and checks that both are the same, that the archives have what they should,
# and that program, man page and completion work as they are unpacked. It needs Go, and mandoc, man, bash, and zsh from Debian.
#
#     apt-get install -y --no-install-recommends mandoc man-db zsh
#     deploy/check-release.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for tool in go mandoc man zsh; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install -y --no-install-recommends mandoc man-db zsh" >&2; exit 1; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "$*" >&2; exit 1; }
# same WHAT WANT GOT
same() { if [ "$2" != "$3" ]; then fail "$1: $3, want $2"; fi; printf '%s: %s\n' "$1" "$3"; }
name=glance_share_exporter
version=9.9.9

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)    # so that a commit meanwhile changes nothing
export SOURCE_DATE_EPOCH
DIST=$dir/first deploy/release.sh v$version
# A copy elsewhere, with other times, and under another umask.
git clone -q --shared --no-checkout . "$dir/copy"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -P -t "$dir/copy"
git -C "$dir/copy" reset -q
# Its own build cache, else the second would be the first one's copy.
(umask 077; cd "$dir/copy" && GOCACHE=$dir/cache DIST=$dir/second deploy/release.sh $version)
(cd "$dir/first" && sha256sum --check --quiet sha256sums.txt && cat sha256sums.txt)
cmp "$dir/first/sha256sums.txt" "$dir/second/sha256sums.txt" || fail "a release from another directory is another one: $(diff "$dir/first/sha256sums.txt" "$dir/second/sha256sums.txt")"
same 'files of a release' 7 "$(find "$dir/second" -type f | wc -l)"
docs=$(git ls-files --cached --others --exclude-standard docs | LC_ALL=C sort | xargs)
for archive in "$dir"/first/*.tar.gz; do
  printf '%s: %s bytes\n' "${archive##*/}" "$(stat -c %s "$archive")"
  same "files" "CHANGELOG.md CONTRIBUTING.md LICENSE NOTICES.txt README.md README.zh-CN.md SECURITY.md completion/_$name completion/$name.bash dashboards/README.md dashboards/alertmanager.yml dashboards/alerts.rules.yml dashboards/image-sharing-api-away.png dashboards/image-sharing.json dashboards/image-sharing.png dashboards/mixin.libsonnet dashboards/runbooks.md dashboards/status-page-phone.png dashboards/status-page.png deploy/systemd/$name.service deploy/systemd/override.conf $docs exporter.yml $name $name.1" \
    "$(LC_ALL=C tar tzf "$archive" | sed "s#^[^/]*/##; /^\$/d; /\/\$/d" | LC_ALL=C sort | xargs)"
  same 'owners and times' "0/0 $(date -u -d "@$SOURCE_DATE_EPOCH" +'%F %H:%M')" "$(TZ=UTC tar tzvf "$archive" --numeric-owner | awk '{print $2, $4, $5}' | sort -u)"
done

cd "$dir"
tar xzf "first/$name-$version.linux-$(go env GOHOSTARCH).tar.gz"
cd "$name-$version.linux-$(go env GOHOSTARCH)"
./$name --version
./$name --version | grep -q "^$name $version (revision [0-9a-f]\{40\}" || fail 'not the version and revision that were asked for'
./$name --once --demo >once.txt 2>/dev/null || fail 'the demo cannot be read'
grep -q '^glance_up{cloud="demo"} 1$' once.txt || fail 'the demo is not read'
rm once.txt
for arch in amd64 arm64; do
  tar xzf "../first/$name-$version.linux-$arch.tar.gz" -O "$name-$version.linux-$arch/$name" >../program
  go version -m ../program | grep -q "GOARCH=$arch" || fail "not for $arch"
  if head -c 4096 ../program | grep -aq '/ld-'; then fail "$arch is not static"; fi
done

same 'modules in NOTICES.txt' "$(go version -m $name | awk '$1=="dep"{print $2, $3}' | LC_ALL=C sort)" \
  "$(grep -A1 '^=\{80\}$' NOTICES.txt | sed -n 's/^\([^ ]* v[^ ]*\): .*/\1/p' | LC_ALL=C sort -u)"
mandoc -T lint -W warning $name.1
same 'name of the man page' "$name - tell Prometheus who can use which OpenStack image" "$(MANWIDTH=200 man -l $name.1 | sed -n '/^NAME/{n;s/^ *//p;q}' | sed 's/−/-/')"

mkdir bin
cp $name bin/
export PATH=$PWD/bin:$PATH
same 'bash completes' '--web.max-requests' "$(bash -c '. completion/'$name'.bash; COMP_WORDS=('$name' --web.max); COMP_CWORD=1; _'$name'_bash_autocomplete; echo "${COMPREPLY[@]}"')"
same 'bash completes a value' 'warn' "$(bash -c '. completion/'$name'.bash; COMP_WORDS=('$name' --log.level w); COMP_CWORD=2; _'$name'_bash_autocomplete; echo "${COMPREPLY[@]}"')"
# As a person would: a zsh on a terminal, and the tab key; then the line is made an echo, to see what it was.
cat >../complete.zsh <<Z
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; bindkey -e; fpath=($PWD/completion \\\$fpath); autoload -Uz compinit; compinit -u -d $dir/zcompdump; echo re''ady"
zpty -r z line '*ready*'
zpty -w z \$'$name --web.max-r\t\x01echo \'the line:\' '
zpty -r z line $'*\nthe line: $name --web.max-requests*' && print completed
zpty -d z
Z
same 'zsh' completed "$(timeout 60 zsh -f ../complete.zsh)"
