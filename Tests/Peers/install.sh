#!/bin/sh
# Installs super-resolution and its core from the registry that came with the program into clean stores, and prints
# the seconds that each install took beside its proof run, the proof run itself, and what the program used of the
# processor for all of it, its start included.
#
#   Tests/Peers/install.sh [PROGRAM] [ROUNDS]
set -eu
program=${1:-.build/release/codi}
rounds=${2:-9}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
printf 'round  install s  proof s  processor s\n'
for round in $(seq "$rounds"); do
  # Alone in a shell, whose `times` then tells of this one command in its second line.
  said=$(CODI_HOME=$work/$round OMP_WAIT_POLICY=passive sh -c \
    '"$1" install super-resolution --json; times' sh "$program")
  rm -rf "${work:?}/$round"
  echo "$said" | awk -v round="$round" '
    function seconds(text) { split(text, part, /[ms]/); return part[1] * 60 + part[2] }
    /"event":"installed"/ {
      match($0, /"proof-seconds":[0-9.e-]+/); proof = substr($0, RSTART + 16, RLENGTH - 16)
      match($0, /"seconds":[0-9.e-]+/); all = substr($0, RSTART + 10, RLENGTH - 10)
    }
    /m.*s .*m.*s/ { used = seconds($1) + seconds($2) }
    END { printf "%5d  %9.2f  %7.2f  %11.2f\n", round, all - proof, proof, used }' | tee -a "$work/rounds"
done
sort -n -k2 "$work/rounds" | awk '{ all[NR] = $2 } END { printf "median %.2f s beside the proof run\n", all[int((NR + 1) / 2)] }'
