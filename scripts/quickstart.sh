#!/usr/bin/env bash
# quickstart.sh [TREE] - from a fresh clone to figures of your own files, in one command.
#
# Installs what is missing (Debian packages, as root or with sudo), builds a release, picks 1,000 files of TREE
# (/usr/include, or another tree that is there), and reads them directly, through a plain copy-on-read layer and through
# cachefs, all behind a simulated remote with a round trip of 5 ms.
set -euo pipefail
here="$PWD" # what a TREE counts from
cd "$(dirname "$0")/.."
. scripts/packages.sh

FILES=1000
DELAY=5ms

usage() {
    echo "usage: scripts/quickstart.sh [TREE]"
    echo "Builds cachefs and compares it, on $FILES files of TREE, with reading directly and with a copy-on-read layer."
}

pick_tree() {
    local tree
    for tree in /usr/include /usr/share /usr/lib /etc; do
        if [ -d "$tree" ] && [ -n "$(find "$tree" -type f -readable -print -quit 2>/dev/null)" ]; then
            echo "$tree"
            return
        fi
    done
    pwd
}

# A path as a file: origin: what has a meaning in a URI is encoded.
file_uri() {
    printf 'file://%s' "$1" | LC_ALL=C sed 's/%/%25/g; s/?/%3F/g; s/#/%23/g; s/ /%20/g'
}

case "${1:-}" in
-h | --help) usage; exit 0 ;;
-*) usage >&2; exit 2 ;;
esac
[ $# -le 1 ] || { usage >&2; exit 2; }

asked="${1:-$(pick_tree)}"
tree="$(cd "$here" && CDPATH='' cd -- "$asked" 2>/dev/null && pwd -P)" || {
    echo "quickstart: $asked is no directory, or none that may be entered" >&2
    exit 2
}

need_packages build

work="$(mktemp -d)"
child=
trap 'rm -rf "$work"' EXIT
trap 'stop 130' INT
trap 'stop 143' TERM
trap 'stop 129' HUP

# Ends what runs, and then us: it tidies up itself.
stop() {
    if [ -n "$child" ]; then
        kill -TERM "$child" 2>/dev/null || true
        wait "$child" || true
    fi
    exit "$1"
}

# Runs a command; a signal to us alone, such as `kill` or `timeout` send, does not wait for its end.
run() {
    local code=0
    "$@" &
    child=$!
    wait "$child" || code=$?
    child=
    return "$code"
}

echo "== building build/release/cachefs"
SECONDS=0
cmake --preset release -DCACHEFS_TESTS=OFF >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
run cmake --build --preset release --target cachefs
echo "   took $SECONDS s"

echo "== picking files of $tree"
# evenly over the whole tree; the same ones every time; names that a list file cannot hold are left out
find "$tree" -xdev -type f -readable ! -name '*
*' -printf '/%P\n' 2>/dev/null | LC_ALL=C sort >"$work/all" || true
awk -v want="$FILES" '{ line[NR] = $0 }
    END { n = NR < want ? NR : want; for (i = 0; i < n; i++) print line[int(i * NR / n) + 1] }' \
    "$work/all" >"$work/list"
count=$(wc -l <"$work/list")
[ "$count" -gt 0 ] || { echo "quickstart: there is no file to read in $tree" >&2; exit 2; }
if [ "$count" -lt "$FILES" ]; then
    echo "   $tree has only $count files: all of them"
else
    echo "   $count of $(wc -l <"$work/all") files"
fi

echo "== comparing, behind a simulated remote with a round trip of $DELAY (one to two minutes)"
SECONDS=0
code=0
run build/release/cachefs compare "$(file_uri "$tree")" --list "$work/list" --delay "$DELAY" || code=$?
echo "   took $SECONDS s"
[ "$code" = 0 ] || { echo "quickstart: cachefs compare ended with $code" >&2; exit "$code"; }
cat <<TEXT

What to try next:
  build/release/cachefs --help
  build/release/cachefs ls '$(file_uri "$tree")' --delay 50ms --stats
  scripts/test.sh --short          the tests that are quick
TEXT
