#!/usr/bin/env bash
# hot-insn.sh [--lines] [PREFIX] - instructions of an operation, counted by callgrind: of the whole, of copying (memcpy, memset),
# and of the rest, for the cases of the hit path or for those whose id begins with PREFIX. The loop of the bench itself does not
# count. Counts do not depend on what else the machine does. With --lines, the functions and the lines where the instructions go; for that the build has -g.
#
#   scripts/hot-insn.sh --flat [POLICY...]   insert and evict: how they grow with the blocks, for each policy alone and in the cache,
#                                            from 1,000 to 100,000; with --full before --flat to 2,000,000, of a policy alone to
#                                            10,000,000
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

lines=0
blocks=100000
entries=100000
if [ "${1:-}" = --lines ]; then lines=1; shift; fi
if [ "${1:-}" = --full ]; then
    blocks=2000000
    entries=10000000
    shift
fi
case "${1:-}" in -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
need_packages build valgrind
dir=build/insn
cmake --preset release -B $dir -DCMAKE_C_FLAGS_RELEASE="-O2 -DNDEBUG -g" -DCACHEFS_TESTS=OFF >/dev/null
cmake --build $dir --target cachefs-bench >&2

count=2000

# Rows as those of cachefs-bench, for scripts/bench.sh.
out=$dir/insn.jsonl

# Instructions of one operation of a case, without copying.
total() {
    rm -f $dir/flat.out
    valgrind --tool=callgrind --callgrind-out-file=$dir/flat.out --instr-atstart=no --toggle-collect=bench_counted -q \
        $dir/cachefs-bench --only "$1" --count 4000 --blocks-max $blocks --entries-max $entries >&2
    callgrind_annotate --threshold=100 --auto=no $dir/flat.out | awk '
        { n = $1; gsub(",", "", n) }
        /PROGRAM TOTALS/ { all = n }
        /mem(p?cpy|move|set)/ && /:/ { all -= n }
        END { print all / 4000 }'
}

if [ "${1:-}" = --flat ]; then
    shift
    out=$dir/flat.jsonl
    : >$out
    if [ $# = 0 ]; then set -- lru lfu ttl hybrid fifo clock slru arc lirs clockpro s3fifo sieve wtinylfu auto; fi
    printf '%-24s %8s %12s %8s %8s  %s\n' 'insert and evict' 'at 1,000' 'large' ratio goal met
    for policy in "$@"; do
        for large in policy/$policy/$entries evict/$policy/$blocks; do
            a=$(total "${large%/*}/1000/t1")
            b=$(total "$large/t1")
            awk -v id="$large" -v a="$a" -v b="$b" -v out=$out 'BEGIN {
                r = b / a
                printf "%-24s %8.1f %12.1f %8.3f %8s  %s\n", id, a, b, r, "<= 1.10", r <= 1.1 ? "yes" : "NO"
                row = "{\"id\":\"%s\",\"unit\":\"insn\",\"ns\":%.1f,\"spread\":0,\"peer\":\"the same at 1,000\",\"peer_ns\":%.1f,"
                printf row "\"ratio\":%.3f,\"goal\":\"<= 1.1x\"}\n", id, b, a, r >>out }'
        done
    done
    exit 0
fi

cases=(read/hit/4KiB read/sequential/64KiB borrow/hit/4KiB stat/hit/40B open_read_close/hit/4KiB open_read_close/hit/19B
    metrics/on/4KiB metrics/off/4KiB write/back/4KiB batch/stats/100/t1 evict/lru/1000/t1)
if [ $# -gt 0 ]; then cases=("$1"); fi
declare -A goal=([read/hit/4KiB]=150) rest=()

# By function, and by line of ours, an operation.
where() {
    callgrind_annotate --threshold=99 --auto=no $file | awk -v n=$count '
        /:/ && /\(/ && !/PROGRAM|Ir/ { i = $1; gsub(",", "", i); if (i / n >= 2) printf "%9.1f  %s\n", i / n, $NF ~ /^\[/ ? $(NF-1) : $NF }'
    callgrind_annotate --threshold=99 --auto=yes --context=0 $file | awk -v n=$count '
        /Auto-annotated source:/ { source = $NF; sub(".*/", "", source) }
        / => |PROGRAM|events annotated|\[\// { next }
        source && /^ *[0-9,]+ \(/ { i = $1; gsub(",", "", i); sub("^[^)]*\\) *", ""); if (i / n >= 3) printf "%9.1f  %-12s %s\n", i / n, source, $0 }' |
        sort -rn | head -50
}

: >$out
row() {
    echo "{\"id\":\"$1\",\"unit\":\"insn\",\"ns\":$2,\"spread\":0${3:+,\"goal\":\"<= $3\"}}" >>$out
}

printf '%-28s %12s %12s %12s %8s  %s\n' case all copying rest goal met
for id in "${cases[@]}"; do
    file=$dir/callgrind.out
    rm -f $file
    # big-mib: room for what is asked for, and no more: callgrind is slow
    valgrind --tool=callgrind --callgrind-out-file=$file --toggle-collect=bench_counted --dump-line=yes -q \
        $dir/cachefs-bench --only "$id" --count $count --big-mib 16 >&2
    text=$(callgrind_annotate --threshold=100 --auto=no $file)
    read -r all copying <<<"$(awk '
        /PROGRAM TOTALS/ { gsub(",", "", $1); all += $1 }
        /[ \/]bench\/[a-z_]+\.[ch]:/ { n = $1; gsub(",", "", n); all -= n }
        # ??: the C library has no lines here; its copies are named by what they do
        /mem(p?cpy|move|set)/ && /:/ { n = $1; gsub(",", "", n); copying += n }
        END { print all + 0, copying + 0 }' <<<"$text")"
    [ "$all" -gt 0 ] || { echo "hot-insn.sh: callgrind saw nothing of $id" >&2; exit 1; }
    a=$(awk "BEGIN { printf \"%.1f\", $all / $count }")
    c=$(awk "BEGIN { printf \"%.1f\", $copying / $count }")
    rest[$id]=$(awk "BEGIN { printf \"%.1f\", ($all - $copying) / $count }")
    met=
    if [ -n "${goal[$id]:-}" ]; then
        met=$(awk "BEGIN { print ${rest[$id]} <= ${goal[$id]} ? \"yes\" : \"NO\" }")
    fi
    printf '%-28s %12s %12s %12s %8s  %s\n' "$id" "$a" "$c" "${rest[$id]}" "${goal[$id]:--}" "$met"
    row "$id" "${rest[$id]}" "${goal[$id]:-}"
    if [ $lines = 1 ]; then where; fi
done
if [ -n "${rest[metrics/on/4KiB]:-}" ] && [ -n "${rest[metrics/off/4KiB]:-}" ]; then
    more=$(awk "BEGIN { print ${rest[metrics/on/4KiB]} - ${rest[metrics/off/4KiB]} }")
    row metrics/on_less_off/4KiB "$more" 10
    awk "BEGIN { d = $more
        printf \"%-28s %12s %12s %12.1f %8s  %s\n\", \"metrics on, less off\", \"\", \"\", d, 10, d <= 10 ? \"yes\" : \"NO\" }"
fi
