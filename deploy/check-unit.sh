#!/usr/bin/env bash
# Checks the systemd unit: systemd-analyze has nothing to say against it and takes it for well locked in, and a real systemd,
# in a container that has this machine's /usr, starts, reloads and stops it. It needs root, Go, curl, and podman, runc
# and systemd from Debian. With the argument "verify" systemd-analyze is all.
#
#     apt-get install -y --no-install-recommends systemd podman runc curl
#     deploy/check-unit.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for tool in go systemd-analyze $([ "${1:-}" = verify ] || echo curl podman runc); do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install -y --no-install-recommends systemd podman runc curl" >&2; exit 1; }
done

unit=glance_share_exporter.service
dir=$(mktemp -d)
P() { podman --root "$dir/storage" --runroot "$dir/run" --storage-driver vfs --log-level fatal --runtime runc --cgroup-manager cgroupfs --events-backend none "$@"; }
finish() {
  local code=$?
  if [ -d "$dir/storage" ]; then
    [ "$code" -eq 0 ] || P exec systemd journalctl --no-pager --unit "$unit" --lines 30 >&2 || true
    P rm --all --force --time 0 >/dev/null 2>&1 || true
  fi
  rm -rf "$dir"
  [ "$code" -eq 0 ] || echo "the unit is not as it should be" >&2
}
trap finish EXIT
fail() { echo "$*" >&2; exit 1; }
# same WHAT WANT GOT
same() { if [ "$2" != "$3" ]; then fail "$1: $3, want $2"; fi; printf '%s: %s\n' "$1" "$3"; }

mkdir -p "$dir/bin" "$dir/units/$unit.d"
CGO_ENABLED=0 go build -buildvcs=false -o "$dir/bin/" .
cp deploy/systemd/override.conf "$dir/units/$unit.d/"
sed "s#/usr/local/bin/#$dir/bin/#" "deploy/systemd/$unit" >"$dir/units/$unit"
printf -- '-- systemd-analyze of systemd %s\n' "$(systemd-analyze --version | awk 'NR==1{print $2}')"
said=$(systemd-analyze verify --man=no "$dir/units/$unit" 2>&1) || fail "$said"
same 'what verify says' '' "$said"
systemd-analyze security --offline=yes --no-pager --threshold=20 "deploy/systemd/$unit" >"$dir/security" || fail "$(cat "$dir/security")"
grep 'Overall exposure' "$dir/security"
[ "${1:-}" != verify ] || exit 0

printf -- '-- a systemd of its own\n'
mkdir -p "$dir/root"/{usr,etc/systemd/system,etc/glance_share_exporter,var/log,run,tmp,proc,sys,dev,root}
for d in bin sbin lib lib64; do ln -s "usr/$d" "$dir/root/$d"; done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\n' >"$dir/root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$dir/root/etc/group"
printf 'passwd: files systemd\ngroup: files systemd\nhosts: files dns\n' >"$dir/root/etc/nsswitch.conf"
: >"$dir/root/etc/machine-id"
cp "deploy/systemd/$unit" "$dir/root/etc/systemd/system/"
etc=$dir/root/etc/glance_share_exporter
sed -n '/^#     auth:/,/^#         secret_file:/s/^#//p' "deploy/systemd/$unit" >"$dir/auth"    # as the unit's comment has it
same 'lines of auth in the comment' 5 "$(wc -l <"$dir/auth")"
config() {
  printf 'clouds:\n  - name: prod\n'
  sed 's#https://keystone.example.com:5000#http://127.0.0.1:1#; s/^ //' "$dir/auth"
  printf '    images: [{id: %s}]\n' "$1"
}
config d164b5df-1bc3-4c3f-893e-3e471fd16e64 >"$etc/exporter.yml"
chmod 755 "$dir" "$dir/root" "$etc"
# For the namespaces of the unit, and for credentials that are mounted as on a machine of its own.
P run --detach --name systemd --systemd=always --cap-add all --security-opt seccomp=unconfined --network none --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 \
  --volume /usr:/usr:ro --volume "$dir/bin:/usr/local/bin:ro" --rootfs "$dir/root" \
  /bin/sh -c 'mount --make-rshared / && exec /lib/systemd/systemd --unit=basic.target' >/dev/null
C() { P exec systemd "$@"; }
S() { C systemctl "$@"; }
property() { S show --property "$1" --value "$unit"; }
# wait_for WHAT COMMAND...: until the command works.
wait_for() {
  local what=$1
  shift
  for _ in $(seq 150); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  fail "$what, and not after 15 s"
}
metric() { nsenter --target "$(P inspect --format '{{.State.Pid}}' systemd)" --net curl -sf http://localhost:10292/metrics | awk -v name="$1" '$1==name{print $2}'; }
is_metric() { [ "$(metric "$1")" = "$2" ]; }
up='glance_up{cloud="prod"}'
reloaded=glance_exporter_config_last_reload_successful
running() { [ "$(S is-system-running)" = running ]; }
wait_for 'systemd does not run' running

same 'start without the secret' 1 "$(S start "$unit" 2>/dev/null && echo 0 || echo $?)"
same 'it says' CREDENTIALS "$(C journalctl --no-pager --unit "$unit" | grep -o 'status=243/CREDENTIALS' | head -1 | cut -d/ -f2)"
S stop "$unit"

echo guess >"$etc/secret"
chmod 600 "$etc/secret"
chmod 644 "$etc/exporter.yml"
S start "$unit"
wait_for 'it does not serve' is_metric "$up" 0
same 'state' active "$(property ActiveState)"
pid=$(property MainPID)
status() { C sh -c 'cat "/proc/$1/status"' sh "$pid" | awk -v name="$1:" '$1==name{print $2}'; }
uid=$(status Uid)
if [ "$uid" -lt 61184 ] || [ "$uid" -gt 65519 ]; then fail "user $uid is not one of systemd's dynamic users"; fi
C ps -o pid,user,args -p "$pid"
same 'who reads the secret' "$uid 400" "$(C stat -c '%u %a' /run/credentials/$unit/secret)"
same 'capabilities' '0000000000000000 0000000000000000' "$(status CapEff) $(status CapBnd)"
same 'no new privileges, seccomp filter' '1 2' "$(status NoNewPrivs) $(status Seccomp)"
[ -n "$(metric process_start_time_seconds)" ] || fail 'no process_start_time_seconds'
same 'health check' 'http://localhost:10292/-/healthy: healthy' "$(C /usr/local/bin/glance_share_exporter --healthcheck)"

echo 'clouds: oops' >"$etc/exporter.yml"
S reload "$unit"
wait_for 'the reload of a bad file is not refused' is_metric $reloaded 0
C journalctl --no-pager --unit "$unit" --output cat | grep 'reload refused'
same 'goes on as it was' 0 "$(metric "$up")"
config 00000000-0000-4000-8000-000000000001 >"$etc/exporter.yml"
S reload "$unit"
wait_for 'the reload brings nothing' is_metric 'glance_image_scrape_success{cloud="prod",image_id="00000000-0000-4000-8000-000000000001",image_name=""}' 0
wait_for 'the reload of a good file is refused' is_metric $reloaded 1
same 'process' "$pid" "$(property MainPID)"

S stop "$unit"
same 'after a stop' 'inactive success 0' "$(property ActiveState) $(property Result) $(property ExecMainStatus)"

# The drop-in, and all that the program can do, behind the same locks.
mkdir "$dir/root/etc/systemd/system/$unit.d"
sed 's/^Environment="FLAGS=/&--demo /' deploy/systemd/override.conf >"$dir/root/etc/systemd/system/$unit.d/override.conf"
S daemon-reload
S start "$unit"
wait_for 'the demo does not serve' is_metric 'glance_up{cloud="demo"}' 1
same 'flags' '--config.file=/etc/glance_share_exporter/exporter.yml --demo --config.auto-reload-interval=30s --web.max-requests=80' \
  "$(C sh -c 'tr "\0" " " <"/proc/$1/cmdline"' sh "$(property MainPID)" | cut -d' ' -f2- | sed 's/ $//')"
S kill --signal KILL "$unit"
wait_for 'it is not started again' is_metric 'glance_up{cloud="demo"}' 1
same 'restarts' 1 "$(property NRestarts)"
S stop "$unit"
