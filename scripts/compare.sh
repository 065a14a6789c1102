#!/usr/bin/env bash
# compare.sh [ROUNDS] - the same work through cachefs, through copy-on-read and through the backend alone, over memory, over
# a disk and behind 1 and 20 ms; then COMPARISON.md and a chart for each backend in docs/. Nothing is printed there that this
# run did not measure, but for the figures that are marked as others'.
#
#   scripts/compare.sh           five rounds, some minutes
#   scripts/compare.sh --again   the report once more, from the rows of the last run
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
case "${1:-}" in -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;; esac

need_packages build charts
rows=build/compare/rows.jsonl
mkdir -p build/compare
if [ "${1:-}" != --again ]; then
    cmake --preset release >/dev/null
    cmake --build --preset release --target cachefs-compare >&2
    build/release/cachefs-compare "${1:-5}" | tee $rows >&2
fi
flags=$(sed -n 's/^CMAKE_C_FLAGS_RELEASE:STRING=//p' build/release/CMakeCache.txt)
perl scripts/compare-report.pl --charts build/compare \
    --built "$(cc --version | head -1), ${flags:--O2 -DNDEBUG}; cachefs $(sed -n 's/^project(cachefs VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt), measured $(date -u -r $rows +%F)" \
    $rows >build/compare/COMPARISON.md
mv build/compare/COMPARISON.md COMPARISON.md
for script in build/compare/*.gnuplot; do gnuplot "$script"; done
echo "COMPARISON.md and docs/comparison-*.svg are written" >&2
