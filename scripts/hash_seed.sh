#!/usr/bin/env bash
# Runs a command twice, under two values of PYTHONHASHSEED, and fails when its output differs (or is empty): the
# order of sets and of hash-keyed things changes with the seed, so whatever depends on it shows.
#
#   scripts/hash_seed.sh python -m tests.sim.replay --seed 1
set -euo pipefail
[ "$#" -gt 0 ] || { echo "usage: $0 COMMAND..." >&2; exit 2; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for seed in 1 2; do
  PYTHONHASHSEED=$seed "$@" >"$out/$seed" || { echo "the command failed under PYTHONHASHSEED=$seed" >&2; exit 1; }
done
[ -s "$out/1" ] || { echo "the command printed nothing to compare" >&2; exit 1; }
if ! diff "$out/1" "$out/2" >"$out/diff"; then
  echo "the output depends on the hash seed:" >&2
  head -n 20 "$out/diff" >&2
  exit 1
fi
echo "$(wc -l <"$out/1") lines, the same under both hash seeds; the last: $(tail -n 1 "$out/1")"
