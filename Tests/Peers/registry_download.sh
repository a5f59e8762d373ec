#!/bin/sh
# Downloads one large blob from Debian's docker-registry on this machine, in turns with curl and with codi (which
# verifies the digest meanwhile), and prints both throughputs. Needs docker-registry, curl, a built program, and about
# three times SIZE of free space.
#
#   Tests/Peers/registry_download.sh [PROGRAM] [MEBIBYTES] [ROUNDS]
set -eu
program=${1:-.build/release/codi}
mebibytes=${2:-512}
rounds=${3:-5}
port=${PORT:-5917}
work=$(mktemp -d)
registry=
trap '[ -z "$registry" ] || kill "$registry" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cat >"$work/config.yml" <<END
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $work/registry } }
http: { addr: 127.0.0.1:$port }
END
docker-registry serve "$work/config.yml" >"$work/log" 2>&1 &
registry=$!
until curl -sf "http://127.0.0.1:$port/v2/" >/dev/null; do sleep 0.1; kill -0 "$registry"; done

head -c "$((mebibytes << 20))" /dev/urandom >"$work/blob"
size=$((mebibytes << 20))
digest=sha256:$(sha256sum "$work/blob" | cut -d' ' -f1)
place=$(curl -sfi -X POST "http://127.0.0.1:$port/v2/demo/blob/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
curl -sf -X PUT -H 'Content-Type: application/octet-stream' -T "$work/blob" "$place&digest=$digest" >/dev/null
rm "$work/blob"

now() { date +%s.%N; }
printf 'round  curl MB/s  codi MB/s  ratio\n'
for round in $(seq "$rounds"); do
  a=$(now)
  curl -sf -o "$work/curl" "http://127.0.0.1:$port/v2/demo/blob/blobs/$digest"
  b=$(now)
  rm "$work/curl"
  c=$(now)
  CODI_HOME=$work/store OMP_WAIT_POLICY=passive "$program" registry fetch \
    "oci://127.0.0.1:$port" demo/blob "$digest" "$size" "$work/codi"
  d=$(now)
  rm "$work/codi"
  echo "$round $a $b $c $d $size" | awk '{ x = $6 / ($3 - $2) / 1e6; y = $6 / ($5 - $4) / 1e6;
    printf "%5d  %9.0f  %9.0f  %.2f  (codi %.2f s longer)\n", $1, x, y, y / x, $5 - $4 - $3 + $2 }'
done
