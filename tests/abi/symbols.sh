#!/usr/bin/env bash
# symbols.sh SHARED STATIC LIST NM [CC FLAGS...] - what the libraries export.
#
#  - the shared library exports what LIST names, and nothing else: one name a line, sorted by bytes
#  - LIST names what the public headers declare, and nothing else (with CC and the flags that APR's headers need)
#  - public names begin with vfs_, cachefs_, warm_ or metrics_; those that only the static library shows may also begin
#    with the name of a backend or of a layer with a directory of its own, or have two underscores behind their first word
#
# Runs in the source directory. LIST is made anew by scripts/update-symbols.sh.
set -euo pipefail
export LC_ALL=C
shared=$1 static=$2 list=$3 nm=$4
shift 4
failed=0

# differ OLD NEW WHAT: the lines that are in one of two lists only
differ() {
    local out
    out=$(diff "$1" "$2" | grep '^[<>]' || true)
    [ -n "$out" ] || return 0
    echo "$3"
    echo "$out"
    failed=1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Names that begin with two underscores are the compiler's: sanitizers and coverage add some.
"$nm" -D --defined-only "$shared" | awk '{print $NF}' | sed 's/@.*//' | grep -vE '^(__|_init$|_fini$)' | sort -u \
    >"$work/exported" || true
[ -s "$work/exported" ] || { echo "$shared exports nothing"; exit 1; }
differ "$list" "$work/exported" "exported (>) or missing (<) against $list; scripts/update-symbols.sh makes it anew:"

sort -u -c "$list" || failed=1
bad=$(grep -vE '^(vfs|cachefs|warm|metrics)_[a-z0-9]' "$list" || true)
[ -z "$bad" ] || { echo "not a public name: $bad"; failed=1; }

if [ $# -gt 0 ]; then
    for header in vfs/vfs.h vfs/vfs_ops.h vfs/shims/shims.h backends/backends.h cachefs/cachefs.h cachefs/check.h \
        cachefs/policy.h warming/warming.h metrics/metrics.h; do
        echo "#include \"$header\""
    done | "$@" -E -P -I. -x c - | tr '\n' ' ' | grep -oE 'visibility\("default"\)\)\) *[^;(]*\(' |
        sed -E 's/.*[ *]([a-z0-9_]+) *\($/\1/' | sort -u >"$work/declared"
    differ "$list" "$work/declared" "declared in a public header (>) or not (<), against $list:"
fi

own="vfs|cachefs|warm|metrics"
for dir in backends/*/ vfs/objects/; do own="$own|$(basename "$dir")"; done
bad=$("$nm" -g --defined-only "$static" 2>/dev/null | awk 'NF == 3 {print $3}' | sort -u | grep -vE "^(_|($own)_|[a-z]+__)" || true)
[ -z "$bad" ] || { echo "in $static, but not of a room: $bad"; failed=1; }
exit $failed
