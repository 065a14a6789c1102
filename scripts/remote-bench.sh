#!/usr/bin/env bash
# remote-bench.sh [OPTIONS] - a bucket, a WebDAV server and an SSH server on loopback, each mounted in turns by cachefs and by what users would
# pick instead (s3fs, davfs2, sshfs, rclone), through a proxy that is 0 and 20 ms away: what is read the first time and again, what is listed, what
# is uploaded, and how many requests that takes. Writes its part of COMPARISON.md, and build/remote-bench/rows.jsonl. Needs root and /dev/fuse.
#
#   scripts/remote-bench.sh            the full sizes, three rounds: hours, since some peers take minutes for a case
#   scripts/remote-bench.sh --small    a try of some minutes, which prints the tables only
#   scripts/remote-bench.sh --report   the tables once more, from the rows of the last run
#
# --rounds N, --heavy N (rounds that upload and list), --big MIB, --reads N, --files N, --names N, --upload MIB, --limit SECONDS (what has not
# ended by then is cut, and the rest reckoned), --only s3,dav,sftp, --delays 0,20, --systems cachefs,s3fs, --cases TEXT (those whose name
# holds it), --print (COMPARISON.md stays as it is)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
case "${1:-}" in -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
dir=$PWD/build/remote-bench
out=COMPARISON.md
for arg; do case "$arg" in --small | --print) out= ;; esac; done
if [ "${1:-}" != --report ]; then
    need_packages build remote-bench
    cmake --preset release >/dev/null
    cmake --build --preset release --target cachefs >&2
    mkdir -p "$dir" /run/sshd
    cc -O2 -D_GNU_SOURCE -pthread -o "$dir/delay" bench/remote/delay.c
    perl scripts/remote-bench.pl "$dir" build/release/cachefs "$@"
fi
perl scripts/remote-report.pl "$dir/rows.jsonl" $out
