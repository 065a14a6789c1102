#!/bin/sh
# Is `cachefs replay` faithful? Compares the miss ratios of our policies to those of a reference
# (reference.csv: trace,policy,size_fraction,capacity_objects,requests,miss_ratio), beside the traces
# (NAME.oracleGeneral.bin.zst). One shard, sizes ignored, capacities of 100 objects and more.
#
#   scripts/replay-check.sh PROGRAM TRACES_FOLDER [POLICIES [SIZES]]
#
# Prints the difference of each policy in percentage points, and ends with 1 if one is above 0.5.
# The last table compares one shard to 32, from 10,000 blocks up.
set -eu
program=${1:?which program}
folder=${2:?which folder of traces}
policies=${3:-lru,fifo,clock,sieve,slru,s3fifo,arc,lirs}
sizes=${4:-1%,5%,10%,20%}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# one line a run: trace,policy,size_fraction,capacity,miss_ratio
flatten() {
    sed -n 's/^ *{ "trace": "\([^"]*\)", "policy": "\([^"]*\)", "size": "\([0-9.]*\)%", "capacity": \([0-9]*\), .*"miss_ratio": \([0-9.e-]*\), "byte.*/\1,\2,\3,\4,\5/p' |
        awk -F, 'BEGIN { OFS = "," } { $3 = $3 / 100; print }'
}

"$program" replay "$folder"/*.oracleGeneral.bin.zst -q --json --policy "$policies" --size "$sizes" |
    flatten >"$work/ours"
status=0
awk -F, '
    NR == FNR { if (FNR > 1) reference[$1, $2, $3 + 0] = $6; next }
    ($1, $2, $3 + 0) in reference && $4 >= 100 {
        d = ($5 - reference[$1, $2, $3 + 0]) * 100
        a = d < 0 ? -d : d
        all++; runs[$2]++; sum[$2] += a
        if (a >= worst[$2]) { worst[$2] = a; where[$2] = $1 " at " $3 * 100 "%: " $5 ", reference " reference[$1, $2, $3 + 0] }
    }
    END {
        printf "%-10s %5s %8s %8s  %s\n", "policy", "runs", "mean", "worst", "where"
        for (p in runs) {
            printf "%-10s %5d %8.3f %8.3f  %s\n", p, runs[p], sum[p] / runs[p], worst[p], where[p]
            if (worst[p] > 0.5) bad = 1
        }
        if (!all) { print "nothing could be compared"; bad = 1 }
        exit bad
    }' "$folder/reference.csv" "$work/ours" || status=1

"$program" replay "$folder"/*.oracleGeneral.bin.zst -q --json --policy "$policies" --size "$sizes" --shards 32 |
    flatten >"$work/sharded"
echo
awk -F, '
    NR == FNR { one[$1, $2, $3] = $5; next }
    $4 >= 10000 && $2 != "belady" {
        d = ($5 - one[$1, $2, $3]) * 100
        runs[$2]++; sum[$2] += d
        if (!($2 in worst) || d > worst[$2]) { worst[$2] = d; where[$2] = $1 " at " $3 * 100 "%" }
    }
    END {
        printf "%-10s %5s %8s %8s  %s\n", "32 shards", "runs", "mean", "worst", "where"
        for (p in runs) {
            printf "%-10s %5d %+8.3f %+8.3f  %s\n", p, runs[p], sum[p] / runs[p], worst[p], where[p]
            if (worst[p] > 0.5) bad = 1
        }
        exit bad
    }' "$work/ours" "$work/sharded" || status=1
exit $status
