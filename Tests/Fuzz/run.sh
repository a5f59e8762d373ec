#!/bin/sh
# Lets libFuzzer look for inputs that break the readers of strangers' bytes; `make fuzz` calls it.
#
#   Tests/Fuzz/run.sh SECONDS [TARGET...]
#
# SECONDS are processor seconds for each target, so that a busy machine gives the same result later; beside other work
# start it with nice. Builds the readers with coverage, AddressSanitizer and the standard library's checks of pointers in
# a folder of its own, below .build.
# Inputs that reach more go to Corpora, as few as do; what breaks something goes to Findings; Runs.md gets a line.
# Ends with 1 when there was a finding.
set -eu
cd "$(dirname "$0")/../.."
seconds=$1
shift
[ $# -gt 0 ] || set -- zip manifest safetensors oci sums words
here=$PWD/Tests/Fuzz
# libFuzzer reports crashes itself; the printer of Swift's runtime would only take its time. Leaks are not looked for.
export SWIFT_BACKTRACE=enable=no OMP_WAIT_POLICY=passive ASAN_OPTIONS=detect_leaks=0
# libFuzzer prints inputs as they are.
export LC_ALL=C
export CODI_FUZZ=build
# The compiler takes the last -sanitize only, hence both in one: else nothing of Swift counts its edges. SwiftPM writes
# the two in the order of a hash table: unless that is the same every time, everything is built anew.
SWIFT_DETERMINISTIC_HASHING=1 swift build -c release --scratch-path .build/fuzz --product codi-fuzz --sanitize=address --sanitize=fuzzer \
  -Xswiftc -sanitize=address,fuzzer -Xswiftc -assert-config -Xswiftc Debug
program=$PWD/.build/fuzz/release/codi-fuzz
commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
status=0
for target; do
  export CODI_FUZZ=$target
  work=$PWD/.build/fuzz/work/$target
  corpus=$here/Corpora/$target
  findings=$here/Findings/$target
  rm -rf "$work"
  mkdir -p "$work/seeds" "$work/new" "$work/least" "$corpus" "$findings"
  CODI_FUZZ_SEEDS=$work/seeds "$program"
  before=$(find "$findings" -type f | wc -l)
  # Slices of wall time (the timeout is wall time too, hence long) until the processor time is reached, or something is found.
  used=0
  runs=0
  while [ "$used" -lt "$seconds" ] && [ "$(find "$findings" -type f | wc -l)" -eq "$before" ]; do
    slice=$((seconds - used))
    ( "$program" -max_total_time="$slice" -max_len=8192 -timeout=600 -report_slow_units=600 -rss_limit_mb=4096 -reload=0 \
        -dict="$here/Dictionaries/$target.dict" -print_final_stats=1 -artifact_prefix="$findings/" \
        "$work/new" "$corpus" "$work/seeds" >"$work/log" 2>&1 </dev/null || true
      times >"$work/times" )
    if grep -q 'no interesting inputs' "$work/log"; then
      echo "$target: the readers were built without counting edges; nothing was looked for" >&2
      exit 70
    fi
    took=$(sed -n 2p "$work/times" | tr 'ms' '  ' | awk '{ print int($1 * 60 + $2 + $3 * 60 + $4) }')
    [ "$took" -gt 0 ] || took=1
    used=$((used + took))
    n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
    [ -n "$n" ] || n=$(sed -n 's/^#\([0-9]*\).*/\1/p' "$work/log" | tail -n 1)
    runs=$((runs + ${n:-0}))
  done
  edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$work/log" | tail -n 1)
  found=$(($(find "$findings" -type f | wc -l) - before))
  if [ "$found" -gt 0 ]; then
    status=1
    echo "$target: $found findings in $findings, reported in $work/log" >&2
  fi
  # The least that reaches all of it, without what the seeds reach.
  cp "$work"/seeds/* "$work/least/"
  "$program" -merge=1 "$work/least" "$work/new" "$corpus" >"$work/merge.log" 2>&1 </dev/null
  for seed in "$work"/seeds/*; do rm -f "$work/least/${seed##*/}"; done
  rm -rf "$corpus"
  mv "$work/least" "$corpus"
  line="| $target | $runs | $used | ${edges:-0} | $found | $commit |"
  sed -i "/^| $target |/d" "$here/Runs.md"
  echo "$line" >>"$here/Runs.md"
  echo "$line"
done
exit $status
