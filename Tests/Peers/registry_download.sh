#!/bin/sh
# Downloads one large blob from Debian's docker-registry on this machine, in turns with curl and with codi, which
# verifies the digest. Prints both throughputs (of codi from its start until the last byte was there), their ratio, that
# without the start of codi, how much longer verifying took after that, and the medians. Needs docker-registry, curl, a built program, and about three times
# SIZE of free space; what it prints means something on an idle machine only.
#
#   Tests/Peers/registry_download.sh [PROGRAM] [MEBIBYTES] [ROUNDS]
set -eu
program=${1:-.build/release/codi}
mebibytes=${2:-512}
rounds=${3:-9}
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

size=$((mebibytes << 20))
head -c "$size" /dev/urandom >"$work/blob"
digest=sha256:$(sha256sum "$work/blob" | cut -d' ' -f1)
place=$(curl -sfi -X POST "http://127.0.0.1:$port/v2/demo/blob/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
curl -sf -X PUT -H 'Content-Type: application/octet-stream' -T "$work/blob" "$place&digest=$digest" >/dev/null
rm "$work/blob"

now() { date +%s.%N; }
printf 'round  curl MB/s  codi MB/s  ratio  receiving  then verified in\n'
for round in $(seq "$rounds"); do
  # What earlier rounds wrote is not to be written to the disk meanwhile.
  sync
  a=$(now)
  curl -sf -o "$work/curl" "http://127.0.0.1:$port/v2/demo/blob/blobs/$digest"
  b=$(now)
  rm "$work/curl"
  sync
  c=$(now)
  said=$(CODI_HOME=$work/store OMP_WAIT_POLICY=passive "$program" registry fetch --json \
    "oci://127.0.0.1:$port" demo/blob "$digest" "$size" "$work/codi")
  d=$(now)
  rm "$work/codi"
  seconds() { echo "$said" | sed -n "s/.*\"$1-seconds\":\([0-9.e-]*\).*/\1/p"; }
  echo "$round $a $b $c $d $size $(seconds receive) $(seconds verify)" | awk '{
    x = $6 / ($3 - $2) / 1e6; y = $6 / ($5 - $4 - $8) / 1e6; z = $6 / $7 / 1e6;
    printf "%5d  %9.0f  %9.0f  %5.2f  %9.2f  %.2f s\n", $1, x, y, y / x, z / x, $8 }' | tee -a "$work/rounds"
done
median() { sort -n -k"$1" "$work/rounds" | awk -v k="$1" '{ v[NR] = $k } END { print v[int((NR + 1) / 2)] }'; }
echo "medians: ratio $(median 4), of receiving alone $(median 5), verified $(median 6) s later"
