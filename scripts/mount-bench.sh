#!/usr/bin/env bash
# mount-bench.sh [ROUNDS] - the same programs on one directory, on `cachefs mount` of it, on libfuse's own pass-through example and on
# `rclone mount` with its full VFS cache; all warm, mounted at the same time, in turns. Prints medians (five rounds unless said) as ratios
# to the pass-through, and what cold reads cost of an origin 20 ms away; writes build/mount-bench/report.md and rows.jsonl. Takes about
# fifteen minutes, needs root and /dev/fuse.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
case "${1:-}" in -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
need_packages build mount-bench

cmake --preset release >/dev/null
cmake --build --preset release --target cachefs >&2
dir=$PWD/build/mount-bench
mkdir -p "$dir"
examples=/usr/share/doc/libfuse3-dev/examples
# shellcheck disable=SC2046 # flags are words
cc -O2 -o "$dir/passthrough_ll" $examples/passthrough_ll.c $(pkg-config --cflags --libs fuse3)
exec perl scripts/mount-bench.pl "$dir" build/release/cachefs "${1:-5}"
