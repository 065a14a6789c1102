#!/usr/bin/env bash
# bench.sh - builds the release preset, runs cachefs-bench, and prints each case beside its peer and its goal. The rows go to
# build/bench/bench.json as well.
#
#   scripts/bench.sh                 all cases, sizes that suit any machine, three runs: the median of the runs counts
#   scripts/bench.sh --full          the sizes of the goals: 1 GiB, 2,000,000 blocks, 1,000,000 names (12 GiB of memory)
#   scripts/bench.sh --runs N        so many runs
#   scripts/bench.sh --check         ends with 1 if a goal is missed
#   scripts/bench.sh -- ARGS         ARGS go to cachefs-bench, such as --only read/hit --rounds 101
#
# Without ARGS it also counts what is no time: allocations on a hit (bench_no_heap), and, where valgrind is installed, instructions
# (scripts/hot-insn.sh; what is slower than it should be shows there by function and line), also how they grow with the blocks.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

runs=3
check=0
full=()
args=()
while [ $# -gt 0 ]; do
    case "$1" in
    --runs) [ $# -gt 1 ] || { echo "bench.sh: --runs takes a number" >&2; exit 2; }; runs=$2; shift ;;
    --full) full=(--full 1) ;;
    --check) check=1 ;;
    --) shift; args=("$@"); break ;;
    -h | --help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "bench.sh: what is $1? See --help" >&2; exit 2 ;;
    esac
    shift
done

need_packages build test
cmake --preset release >/dev/null
cmake --build --preset release --target cachefs-bench bench_no_heap >&2

out=build/bench
mkdir -p $out
rm -f $out/run-*.jsonl
for i in $(seq "$runs"); do
    echo "run $i of $runs" >&2
    build/release/cachefs-bench --json "$out/run-$i.jsonl" ${full[@]+"${full[@]}"} ${args[@]+"${args[@]}"} >&2
done
counts=$out/counts.jsonl
: >$counts
if [ ${#args[@]} = 0 ]; then
    # says "what: N allocations in M hits" of each hit that makes some, and fails then
    made=$(build/release/bench/bench_no_heap && build/release/bench/bench_no_heap borrow) || [ -n "$made" ]
    heap=$(awk 'NF { n += $(NF - 4) } END { print n + 0 }' <<<"$made")
    echo "{\"id\":\"heap/any_hit\",\"unit\":\"call\",\"ns\":$heap,\"spread\":0,\"goal\":\"<= 0\"}" >>$counts
    if command -v valgrind >/dev/null; then
        scripts/hot-insn.sh >&2
        scripts/hot-insn.sh ${full[@]+--full} --flat >&2
        cat build/insn/insn.jsonl build/insn/flat.jsonl >>$counts
    else
        echo "bench.sh: instructions are not counted: no valgrind" >&2
    fi
fi
build=$(sed -n 's/^CMAKE_C_FLAGS_RELEASE:STRING=//p' build/release/CMakeCache.txt)
perl scripts/bench-report.pl --check $check --json $out/bench.json --also $counts \
    --built "$(cc --version | head -1), ${build:--O2 -DNDEBUG}, $(git describe --always --dirty 2>/dev/null || echo 'no git')" \
    $out/run-*.jsonl
