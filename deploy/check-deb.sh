#!/usr/bin/env bash
# Makes two releases and installs, starts, scrapes, upgrades and purges their packages for Debian, on this machine. It needs root, Go,
# curl, and adduser, man and systemd-analyze from Debian. Where systemd does not run, it starts what the unit starts, as its user.
#
#     apt-get install -y --no-install-recommends adduser curl man-db systemd
#     deploy/check-deb.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for tool in go curl adduser man setpriv systemd-analyze; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install -y --no-install-recommends adduser curl man-db systemd" >&2; exit 1; }
done
package=glance-share-exporter name=glance_share_exporter etc=/etc/glance_share_exporter
unit=/usr/lib/systemd/system/$name.service
if dpkg-query -W "$package" >/dev/null 2>&1 || [ -e "$etc" ]; then
  echo "$package is installed, or there is $etc: use another machine, this would remove them" >&2
  exit 1
fi
dir=$(mktemp -d)
pid=
finish() {
  local code=$?
  if [ -n "$pid" ]; then kill "$pid" && wait "$pid" || true; fi
  if [ "$code" -ne 0 ]; then
    cat "$dir/log" >&2 2>/dev/null || true
    dpkg --purge "$package" >/dev/null 2>&1 || true
    rm -rf "$etc"
    echo "the package is not as it should be" >&2
  fi
  rm -rf "$dir"
}
trap finish EXIT
fail() { echo "$*" >&2; exit 1; }
# same WHAT WANT GOT
same() { if [ "$2" != "$3" ]; then fail "$1: $3, want $2"; fi; printf '%s: %s\n' "$1" "$3"; }
arch=$(dpkg --print-architecture)
for version in 9.9.8 9.9.9; do DIST=$dir/$version deploy/release.sh $version; done
deb() { echo "$dir/$1/${package}_$1_$arch.deb"; }

printf -- '-- install\n'
dpkg --install "$(deb 9.9.8)"
same 'version' "$name 9.9.8" "$($name --version | cut -d' ' -f1,2)"
same 'conffiles' "$etc/exporter.yml" "$(dpkg-query -W -f '${Conffiles}' "$package" | awk '{print $1}' | xargs)"
same 'owners of the configuration' "root:$package 750 root:$package 640" "$(stat -c '%U:%G %a' "$etc" "$etc/exporter.yml" | xargs)"
uid=$(id -u "$package")
same 'home and shell of the user' '/nonexistent /usr/sbin/nologin' "$(getent passwd "$package" | cut -d: -f6,7 | tr : ' ')"
same 'man page' "$name(1)" "$(man -w 1 $name >/dev/null && MANWIDTH=200 man 1 $name | awk 'NR==1{print tolower($1)}')"
for file in /usr/share/bash-completion/completions/$name /usr/share/zsh/vendor-completions/_$name /usr/share/doc/$package/copyright; do
  [ -s "$file" ] || fail "there is no $file"
done
systemd-analyze verify --man=no "$unit" 2>&1 | grep -F "$name" && fail 'systemd-analyze has something to say against the unit'
if grep -qE 'DynamicUser|LoadCredential|/usr/local' "$unit"; then fail 'the unit is not one of a package'; fi

printf -- '-- start and scrape\n'
as_user=(setpriv --reuid "$package" --regid "$package" --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all)
# A secret that the unit's user alone can read.
install -m 640 -g "$package" /dev/stdin "$etc/secret" <<<guess
secret=$(sed -n 's/^ *secret_file: *\([^ #]*\).*/\1/p' "$etc/exporter.yml")
same 'secret of the example' "$etc/secret" "$secret"
same 'configuration' 'good' "$("${as_user[@]}" $name --config.check --config.file=$etc/exporter.yml | awk '{print $NF}')"
same 'as another user' 'Permission denied' "$(setpriv --reuid nobody --regid nogroup --clear-groups cat $etc/secret 2>&1 | sed 's/.*: //')"
start() {
  local command
  command=$(sed -n 's/^ExecStart=//p' "$unit")
  "${as_user[@]}" sh -c "FLAGS='--demo --web.listen-address=127.0.0.1:10293'; exec $command" >"$dir/log" 2>&1 &
  pid=$!
  for _ in $(seq 100); do
    if curl -sf -o /dev/null http://127.0.0.1:10293/-/ready; then break; fi
    sleep 0.1
  done
  same 'user' "$uid" "$(awk '/^Uid:/{print $2}' "/proc/$pid/status")"
  same 'scraped' 'glance_up{cloud="demo"} 1' "$(curl -sf http://127.0.0.1:10293/metrics | grep '^glance_up')"
}
stop() {
  local code=0
  kill "$pid"
  wait "$pid" || code=$?
  pid=
  same 'exit code' 0 "$code"
}
start
stop

printf -- '-- upgrade\n'
echo '# ours' >>"$etc/exporter.yml"
chmod 600 "$etc/secret"
dpkg --install "$(deb 9.9.9)" </dev/null
same 'version' "$name 9.9.9" "$($name --version | cut -d' ' -f1,2)"
same 'configuration' '# ours' "$(tail -1 "$etc/exporter.yml")"
same 'owners of the configuration' "root:$package 750 root:$package 640 600" "$(stat -c '%U:%G %a' "$etc" "$etc/exporter.yml" | xargs) $(stat -c %a "$etc/secret")"
same 'user' "$uid" "$(id -u "$package")"
start
stop

printf -- '-- remove and purge\n'
mapfile -t files < <(dpkg -L "$package")
dpkg --remove "$package"
same 'what remains' "$etc/exporter.yml" "$(for file in "${files[@]}"; do if [ -f "$file" ]; then echo "$file"; fi; done)"
rm "$etc/secret"
dpkg --purge "$package"
same 'what remains' '' "$(for file in "${files[@]}"; do if [ -f "$file" ] || [[ $file == *$name* && -e $file ]]; then echo "$file"; fi; done)"
same 'user' '' "$(getent passwd "$package" || true)"
