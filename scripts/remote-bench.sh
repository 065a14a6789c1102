#!/usr/bin/env bash
# remote-bench.sh [ROUNDS] - one SSH server on loopback, mounted by `cachefs mount sftp://`, sshfs and `rclone mount` in turns, near and behind a
# proxy that is 20 ms away: the first time and again. Prints medians (three rounds unless said) as ratios to sshfs, writes
# build/remote-bench/report.md and rows.jsonl. REMOTE_BENCH_FILES (200) small files. Takes some minutes, needs root and /dev/fuse.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
case "${1:-}" in -h | --help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
need_packages build remote-bench

cmake --preset release >/dev/null
cmake --build --preset release --target cachefs >&2
dir=$PWD/build/remote-bench
mkdir -p "$dir" /run/sshd
cc -O2 -D_GNU_SOURCE -pthread -o "$dir/delay" bench/remote/delay.c
exec perl scripts/remote-bench.pl "$dir" build/release/cachefs "${1:-3}"
