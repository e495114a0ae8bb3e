#!/usr/bin/env bash
# Builds the container image for two platforms, runs the one of this machine, and checks what docs/install.md says of it. It
# needs root, Go, curl, and buildah, podman and runc from Debian, and no registry: the base image is made here, of this machine's
# Go and shell, under the name that the Dockerfile uses, and modules come from this machine's module cache.
#
#     apt-get install -y --no-install-recommends buildah podman runc curl
#     deploy/check-image.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for tool in go curl buildah podman runc; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install -y --no-install-recommends buildah podman runc curl" >&2; exit 1; }
done

dir=$(mktemp -d)
driver=vfs
if grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null; then driver=overlay; fi
store=(--root "$dir/storage" --runroot "$dir/run" --storage-driver "$driver")
B() { buildah "${store[@]}" "$@"; }
P() { podman "${store[@]}" --log-level fatal --runtime runc --cgroup-manager cgroupfs --events-backend none "$@"; }
finish() {
  local code=$?
  P rm --all --force --time 0 >/dev/null 2>&1 || true
  B rm --all >/dev/null 2>&1 || true
  umount "$dir/storage/overlay" 2>/dev/null || true
  rm -rf "$dir"
  [ "$code" -eq 0 ] || echo "the image is not as it should be" >&2
}
trap finish EXIT
fail() { echo "$*" >&2; exit 1; }
# same WHAT WANT GOT
same() { if [ "$2" != "$3" ]; then fail "$1: $3, want $2"; fi; printf '%s: %s\n' "$1" "$3"; }

printf -- '-- base image\n'
base=$(sed -n 's/^ARG GO_IMAGE=//p' Dockerfile)
goroot=$(go env GOROOT)
mkdir -p "$dir/root"/{bin,lib64,etc/ssl/certs,tmp,usr/local/go,root}
cp -L /bin/sh "$dir/root/bin/"
ldd /bin/sh | grep -o '/[^ ]*' | while read -r library; do cp -L --parents "$library" "$dir/root/"; done
cp -L /etc/ssl/certs/ca-certificates.crt "$dir/root/etc/ssl/certs/"
cp -r "$goroot"/{VERSION,bin,go.env,lib,pkg,src} "$dir/root/usr/local/go/"
container=$(B from scratch)
B add -q "$container" "$dir/root" / >/dev/null
B config --env PATH=/usr/local/go/bin:/bin --env GOPATH=/go --env GOTOOLCHAIN=local "$container"
B commit -q "$container" "localhost/$base" >/dev/null
B rm "$container" >/dev/null
rm -rf "$dir/root"
printf '%s, made of %s\n' "$base" "$(go version)"

# A copy of the sources, with what people leave lying around. None of it may get where the build sees it.
mark=not-for-anybodys-eyes
mkdir "$dir/src"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$dir/src" -P
printf 'password: %s\n' "$mark" >>"$dir/src/exporter.yml"
for file in secret clouds.yaml .env client/secret internal/config/key.pem deploy/secret .git/config; do
  mkdir -p "$dir/src/$(dirname "$file")"
  echo "$mark" >"$dir/src/$file"
done

go mod download
# Debian 12's buildah does not know BUILDPLATFORM by itself.
build_platform=linux/$(go env GOHOSTARCH)
version=9.9.9 revision=0123abc
for platform in amd64 arm64; do
  printf -- '-- build for %s\n' "$platform"
  B build --format docker --isolation chroot --pull-never --platform "linux/$platform" --layers \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg GOPROXY=file:///modules --build-arg "BUILDPLATFORM=$build_platform" \
    --volume "$(go env GOMODCACHE)/cache/download:/modules:ro" \
    --tag "localhost/exporter:$platform" "$dir/src" >"$dir/build.log" 2>&1 || { cat "$dir/build.log" >&2; exit 1; }
  of() { B inspect --type image --format "{{$1}}" "localhost/exporter:$platform"; }
  same 'architecture' "$platform" "$(of .OCIv1.Architecture)"
  same 'user' 65532:65532 "$(of .OCIv1.Config.User)"
  same 'entrypoint and command' '[/bin/glance_share_exporter] [--config.file=/etc/glance_share_exporter/exporter.yml]' "$(of '.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd')"
  same 'health check' '[CMD /bin/glance_share_exporter --healthcheck]' "$(of .Docker.Config.Healthcheck.Test)"
  for label in "title glance_share_exporter" "licenses Apache-2.0" "version $version" "revision $revision"; do
    same "label ${label%% *}" "${label#* }" "$(of "index .OCIv1.Config.Labels \"org.opencontainers.image.${label%% *}\"")"
  done
  container=$(B from --pull-never "localhost/exporter:$platform")
  mounted=$(B mount "$container")
  doc=./usr/share/doc/glance_share_exporter
  same 'files' "./bin/glance_share_exporter ./etc/ssl/certs/ca-certificates.crt $doc/LICENSE $doc/NOTICES.txt" \
    "$(cd "$mounted" && find . -type f | LC_ALL=C sort | xargs)"
  same 'modules in NOTICES.txt' "$(go version -m "$mounted/bin/glance_share_exporter" | grep -c '^\sdep\s')" \
    "$(grep -A1 '^=\{80\}$' "$mounted/$doc/NOTICES.txt" | sed -n 's/^\([^ ]* v[^ ]*\): .*/\1/p' | sort -u | wc -l)"
  same 'built for' "linux/$platform, CGO_ENABLED=0, -trimpath=true" \
    "$(go version -m "$mounted/bin/glance_share_exporter" | awk -F'\t' '$2=="build"{split($3,a,"="); v[a[1]]=$3} END{sub("GOOS=","",v["GOOS"]); sub("GOARCH=","",v["GOARCH"]); print v["GOOS"] "/" v["GOARCH"] ", " v["CGO_ENABLED"] ", " v["-trimpath"]}')"
  printf 'size: %s bytes, %s of them the program\n' "$(find "$mounted" -type f -printf '%s\n' | awk '{n+=$1} END{print n}')" "$(stat -c %s "$mounted/bin/glance_share_exporter")"
  B umount "$container" >/dev/null
  B rm "$container" >/dev/null
done

printf -- '-- what the build has seen\n'
if grep -rlq -- "$mark" "$dir/storage"; then fail "a secret that lay beside the Dockerfile is in a layer: $(grep -rl -- "$mark" "$dir/storage")"; fi
[ "$(find "$dir/storage" -path '*/src/main.go' | wc -l)" -gt 0 ] || fail 'the layers with the sources are not there, so the search for secrets has proved nothing'
echo 'no secret that lay around'

image=localhost/exporter:$(go env GOARCH)
flags=(--read-only --cap-drop all --security-opt no-new-privileges --network none --pull never
  --health-interval disable                              # a timer of systemd's; here it is run by hand
  --ulimit nofile=1024:1024 --ulimit nproc=1024:1024)    # else podman raises them, which not every root may
in_net() { nsenter --target "$pid" --net "$@"; }
# start NAME ARGUMENT...: starts a container and waits until it serves on its port.
start() {
  local name=$1 port=$2
  shift 2
  P run --detach --name "$name" "${flags[@]}" "$@" >/dev/null
  pid=$(P inspect --format '{{.State.Pid}}' "$name")
  for _ in $(seq 100); do
    if in_net curl -sf -o /dev/null "http://localhost:$port/-/ready"; then return; fi
    sleep 0.1
  done
  P logs "$name" >&2
  fail "$name does not serve"
}
# stop NAME: what an orchestrator does.
stop() {
  P kill --signal TERM "$1" >/dev/null
  same "exit code of $1 after SIGTERM" 0 "$(P wait "$1")"
}

printf -- '-- run\n'
same 'version' "glance_share_exporter $version (revision $revision, $(go env GOVERSION) linux/$(go env GOARCH))" "$(P run --rm "${flags[@]}" "$image" --version)"
same 'without a configuration' 1 "$(P run --rm "${flags[@]}" "$image" 2>"$dir/err" && echo 0 || echo $?)"
cat "$dir/err"

start demo 10292 "$image" --demo
echo 'processes, with their users on this machine:'
ps -o pid,uid,gid,args --ppid "$(P inspect --format '{{.State.ConmonPid}}' demo)"
same 'processes in the container' 1 "$(find /proc/[0-9]* -maxdepth 1 -name ns -exec sh -c 'readlink "$1/pid"' sh {} \; 2>/dev/null | grep -cxF "$(readlink "/proc/$pid/ns/pid")")"
same 'user' '65532 65532 65532 65532' "$(awk '/^Uid:/{print $2,$3,$4,$5}' "/proc/$pid/status")"
same 'capabilities' '0000000000000000 0000000000000000 0000000000000000' "$(awk '/^Cap(Prm|Eff|Bnd):/{print $2}' "/proc/$pid/status" | xargs)"
same 'root is' ro "$(awk '$5=="/"{split($6,a,","); print a[1]}' "/proc/$pid/mountinfo")"
same 'images told of in a scrape' 10 "$(in_net curl -sf http://localhost:10292/metrics | grep -c '^glance_image_scrape_success')"
same 'health check' 'http://localhost:10292/-/healthy: healthy' "$(P exec demo /bin/glance_share_exporter --healthcheck)"
P healthcheck run demo
same 'health' healthy "$(P inspect --format '{{.State.Healthcheck.Status}}' demo)"
stop demo

# On another port, the image's health check finds nobody; with the flag it does.
start moved 10299 "$image" --demo --web.listen-address=:10299
same 'health check of another port' 1 "$(P exec moved /bin/glance_share_exporter --healthcheck >/dev/null 2>&1 && echo 0 || echo $?)"
P exec moved /bin/glance_share_exporter --healthcheck --web.listen-address=:10299
stop moved

# A configuration that is mounted, with a secret that only the image's user can read.
mkdir "$dir/etc"
cat >"$dir/etc/exporter.yml" <<'Y'
clouds:
  - name: prod
    auth:
      password: {auth_url: http://127.0.0.1:1/v3, username: a, user_domain_name: Default, password_file: secret, project_name: b}
    images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]
Y
echo wrong >"$dir/etc/secret"
chmod 755 "$dir" "$dir/etc"
chmod 400 "$dir/etc/secret"
chown 65532:65532 "$dir/etc/secret"
start mounted 10292 --volume "$dir/etc:/etc/glance_share_exporter:ro" "$image"
same 'a cloud that is away' 'glance_up{cloud="prod"} 0' "$(in_net curl -sf http://localhost:10292/metrics | grep '^glance_up')"
P healthcheck run mounted
stop mounted
