#!/bin/sh
# What it costs that a plugin runs in a process of its own: conversions of one megapixel with and without that, in
# turns, and the median of the pairs' ratios. Means something on an idle machine only.
#
#   Tests/Peers/isolation.sh [PROGRAM] [PAIRS] [STEPS]
set -eu
program=${1:-.build/release/codi}
CODI_HOME=$(mktemp -d)
export CODI_HOME
trap 'rm -rf "$CODI_HOME"' EXIT
trap 'exit 1' INT TERM
"$program" install super-resolution --quiet
key=$("$program" trust list --json | sed -n 's/.*"key":"\([^"]*\)".*"publisher":"codi".*/\1/p')
"$program" trust add codi "$key" --in-process --quiet
# Both flags leave everything else out.
"$program" bench --training-only --conversion-only --isolation-pairs "${2:-9}" --steps "${3:-4}"
