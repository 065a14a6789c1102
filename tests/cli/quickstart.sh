#!/usr/bin/env bash
# quickstart.sh SOURCE - a stranger's first minutes: a copy of the sources, nothing else done, scripts/quickstart.sh on a small
# tree. The figures must be those of a cache, and nothing may be left behind, not even after a signal.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export TMPDIR="$work/tmp" CACHEFS_NO_INSTALL=1
mkdir "$TMPDIR" "$work/clone" "$work/some tree"
fail() {
    echo "$*" >&2
    exit 1
}

git -C "$1" ls-files -z --cached --others --exclude-standard | (cd "$1" && xargs -0 ls -d 2>/dev/null) |
    tar -C "$1" -cf - -T - | tar -C "$work/clone" -xf -
for i in $(seq 60); do head -c $((i * 300)) /dev/urandom >"$work/some tree/file $i"; done
cd "$work/clone"

code=0
scripts/quickstart.sh no/such/tree 2>"$work/err" || code=$?
[ $code = 2 ] && grep -q 'no/such/tree is no directory' "$work/err" || fail "no such tree: $code, $(cat "$work/err")"

# a relative tree counts from where the caller is; twice is as good as once
for time in first second; do
    (cd "$work" && clone/scripts/quickstart.sh "some tree") >"$work/out" </dev/null || fail "the $time run: $?"
    grep -Eq '^cachefs  hot +60 .* 1\.000 +0 B ' "$work/out" || fail "the $time run: $(cat "$work/out")"
    ratio=$(sed -n 's/^hot, cachefs is \([0-9]*\).* times as fast as cold\.$/\1/p' "$work/out")
    [ -n "$ratio" ] || fail "the $time run does not say how much faster hot is: $(cat "$work/out")"
    [ -z "$(ls "$TMPDIR")" ] || fail "the $time run left $(ls "$TMPDIR")"
done

# a signal to the script alone, while the program runs
scripts/quickstart.sh "$work/some tree" >"$work/out" 2>&1 </dev/null &
script=$!
until grep -q '^corfs    cold' "$work/out"; do
    kill -0 $script 2>/dev/null || fail "it ended: $(cat "$work/out")"
    sleep 0.05
done
kill -TERM $script
code=0
wait $script || code=$?
[ $code = 143 ] || fail "after SIGTERM it ended with $code"
[ -z "$(ls "$TMPDIR")" ] || fail "after SIGTERM it left $(ls "$TMPDIR")"
! pgrep -f "$work/clone" >/dev/null || fail "after SIGTERM a process is left: $(pgrep -af "$work/clone")"
