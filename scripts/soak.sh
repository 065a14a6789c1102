#!/usr/bin/env bash
# soak.sh [MINUTES] - the model programs with fresh seeds, for ten minutes or as many as are given: each stack that ctest runs them
# on, with one thread and with four, again and again until the time is over. What differs is printed, with its seed and its steps
# made short; at the end how many runs there were, and 1 if any differed. ctest itself has fixed seeds.
#
#   scripts/soak.sh 60
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

case "${1:-}" in -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
minutes="${1:-10}"
[[ "$minutes" =~ ^[0-9]+$ && $# -le 1 ]] || { echo "soak.sh: what is $*? See --help" >&2; exit 2; }
need_packages build test
cmake --preset dev >/dev/null
cmake --build --preset dev --target model >&2
mapfile -t specs < <(ctest --preset dev -N -V -L '^model$' | sed -n 's/.*Test command: .*model "\([^"]*\)".*/\1/p' | sort -u)
[ ${#specs[@]} -gt 0 ] || { echo "soak.sh: ctest knows no model tests" >&2; exit 2; }

out="$(mktemp)"
trap 'rm -f "$out"' EXIT
runs=0 different=0 end=$((SECONDS + minutes * 60))
while [ $SECONDS -lt $end ]; do
    for spec in "${specs[@]}"; do
        for threads in 1 4; do
            [ $SECONDS -lt $end ] || break 2
            seed=$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')
            runs=$((runs + 1))
            if ! build/dev/tests/model "$spec" --threads $threads --seed "$seed" >"$out" 2>&1; then
                different=$((different + 1))
                echo "== model $spec --threads $threads --seed $seed"
                cat "$out"
            fi
        done
    done
done
echo "soak.sh: $runs runs on ${#specs[@]} stacks, $different differed"
[ $different = 0 ]
