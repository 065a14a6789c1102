#!/usr/bin/env bash
# coverage.sh - runs the tests in an instrumented build, and fails below 90 % of the lines or 75 % of the branches of the
# library (vfs, backends, cachefs, warming, metrics). An assertion counts as a line, not as a branch: its other side is a bug.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
need_packages build test coverage

dir=build/coverage
cmake --preset coverage >/dev/null
cmake --build --preset coverage -j "$(nproc)"
find $dir -name '*.gcda' -delete
ctest --preset coverage -j "$(nproc)" "$@"
gcovr --root . --object-directory $dir \
    --filter 'vfs/' --filter 'backends/' --filter 'cachefs/' --filter 'warming/' --filter 'metrics/' \
    --exclude-unreachable-branches \
    --exclude-branches-by-pattern '.*VFS_(DEBUG_)?ASSERT\(.*' \
    --txt $dir/coverage.txt --html-details $dir/coverage.html \
    --print-summary --fail-under-line 90 --fail-under-branch 75
echo "Details: $dir/coverage.txt, $dir/coverage.html"
