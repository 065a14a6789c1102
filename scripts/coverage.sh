#!/usr/bin/env bash
# coverage.sh [CTEST-ARGS] - runs the tests in an instrumented build, and fails below 90 % of the lines or 75 % of the branches
# of any room of the library. Not counted as branches: assertions, whose other side is a bug, and the lines of vfs_ops.def,
# where the branches of all that is made from them fall together, assertions included.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/run-tests.sh
need_packages build test coverage

dir=build/coverage
code=0
cmake --preset coverage >/dev/null
cmake --build --preset coverage -j "$(nproc)"
find $dir -name '*.gcda' -delete
run_tests coverage "$@" || code=1
# what a test compiled on the way is not ours to measure
rm -rf $dir/consumer_*

measure() {
    gcovr --root . --object-directory $dir --exclude-unreachable-branches \
        --exclude-branches-by-pattern '.*VFS_((DEBUG_)?ASSERT|OP_(FS|FILE|DIR|HAND))\(.*' --print-summary "$@"
}
for room in vfs backends cachefs warming metrics; do
    echo "== $room"
    measure --filter "$room/" --txt $dir/coverage-$room.txt --fail-under-line 90 --fail-under-branch 75 || code=1
done
echo "== all"
measure --filter 'vfs/' --filter 'backends/' --filter 'cachefs/' --filter 'warming/' --filter 'metrics/' \
    --txt $dir/coverage.txt --html-details $dir/coverage.html || code=1
echo "Details: $dir/coverage.txt, $dir/coverage.html"
[ $code = 0 ] || { echo "coverage: FAILED" >&2; exit 1; }
