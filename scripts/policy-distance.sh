#!/bin/sh
# How far are policies from the best known one? For each trace and size the best known is the best of those in reference.csv
# (beside the traces; without the optimum) and of the library's own but `auto`, and the distance that of the miss ratios, in percentage points.
# The table of docs/policies.md.
#
#   scripts/policy-distance.sh [--each POLICY] PROGRAM TRACES_FOLDER [SIZES]
#
# With --each, one line for each trace and size of that policy: distance, trace, size, its miss ratio, the best one and whose it is.
set -eu
each=
if [ "${1:-}" = --each ]; then each=$2; shift 2; fi
program=${1:?which program}
folder=${2:?which folder of traces}
sizes=${3:-1%,5%,10%,20%}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

policies=$("$program" version --json | tr -d '\n' | sed 's/.*"policies": *\[\([^]]*\)\].*/\1/; s/[" ]//g')
"$program" replay "$folder"/*.oracleGeneral.bin.zst -q --json --policy "$policies" --size "$sizes" |
    sed -n 's/^ *{ "trace": "\([^"]*\)", "policy": "\([^"]*\)", "size": "\([0-9.]*\)%", .*"miss_ratio": \([0-9.e-]*\), "byte.*/\1,\2,\3,\4/p' |
    awk -F, 'BEGIN { OFS = "," } { $3 = $3 / 100; print }' >"$work/ours"

awk -F, -v each="$each" '
    function offer(at, ratio, name) { if (!(at in best) || ratio < best[at]) { best[at] = ratio; whose[at] = name } }
    $2 == "belady" { next }
    NR == FNR { if (FNR > 1) offer($1 "," $3 + 0, $6 + 0, $2); next }
    {
        at = $1 "," $3 + 0
        miss[$2, at] = $4
        names[$2]
        places[at]
        if ($2 != "auto") offer(at, $4 + 0, $2)
    }
    END {
        for (name in names)
            for (at in places) {
                d = (miss[name, at] - best[at]) * 100
                if (each == "") print name "," d
                else if (each == name) printf "%.2f %s %.4f %.4f %s\n", d, at, miss[name, at], best[at], whose[at]
            }
    }' "$folder/reference.csv" "$work/ours" >"$work/distances"
if [ -n "$each" ]; then sort -n "$work/distances"; exit 0; fi

printf '%-10s %6s %8s %8s %8s\n' policy runs mean p90 worst
sort -t, -k1,1 -k2,2g "$work/distances" | awk -F, '
    function say() { if (n) printf "%-10s %6d %8.2f %8.2f %8.2f\n", name, n, sum / n, d[int(0.9 * (n - 1)) + 1], d[n] }
    $1 != name { say(); name = $1; n = sum = 0 }
    { d[++n] = $2; sum += $2 }
    END { say() }' | sort -k3,3n
