#!/bin/sh
# Downloads one large blob from Debian's docker-registry on this machine, in turns with curl and with codi, which
# verifies the digest meanwhile. Prints for every round, and as medians at the end: the throughput of both in MB/s as
# they count it themselves, from the first request to the last byte; codi's over curl's (goal: 0.90 at least); how much
# longer codi took until the bytes were verified (goal: 0.5 s at most); and the processor seconds of both programs, their
# start included, which say something on a busy machine too. Needs docker-registry, curl, a built program, and about
# three times the size of free space.
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

# Runs a command, its output into $work/said, and prints the processor seconds that it took.
processor() {
  ("$@" >"$work/said"; times >"$work/times")
  sed -n 2p "$work/times" | tr 'ms' '  ' | awk '{ print $1 * 60 + $2 + $3 * 60 + $4 }'
}
with_curl() {
  curl -sf -o "$work/curl" -w '%{time_total}\n' "http://127.0.0.1:$port/v2/demo/blob/blobs/$digest"
}
with_codi() {
  CODI_HOME=$work/store OMP_WAIT_POLICY=passive "$program" registry fetch --json \
    "oci://127.0.0.1:$port" demo/blob "$digest" "$size" "$work/codi"
}
said() { sed -n "s/.*\"$1\":\([0-9.e-]*\).*/\1/p" "$work/said"; }
median() { cut -d' ' -f"$1" "$work/rounds" | sort -g | awk '{ a[NR] = $1 } END { print (a[int((NR + 1) / 2)] + a[int(NR / 2) + 1]) / 2 }'; }

printf 'round  curl MB/s  codi MB/s  ratio  verified after s  processor s: curl  codi\n'
: >"$work/rounds"
line() { printf '%5s  %9.0f  %9.0f  %5.2f  %16.3f  %17.2f  %4.2f\n' "$@"; }
for round in $(seq "$rounds"); do
  p=$(processor with_curl)
  a=$(cat "$work/said")
  rm "$work/curl"
  q=$(processor with_codi)
  b=$(said transfer-seconds)
  c=$(said seconds)
  rm "$work/codi"
  echo "$a $b $c $p $q $size" | awk '{ print $6 / $1 / 1e6, $6 / $2 / 1e6, $1 / $2, $3 - $2, $4, $5 }' >>"$work/rounds"
  # shellcheck disable=SC2046 # six numbers
  line "$round" $(tail -n 1 "$work/rounds")
done
line median "$(median 1)" "$(median 2)" "$(median 3)" "$(median 4)" "$(median 5)" "$(median 6)"
