#!/usr/bin/env bash
# lint.sh [FILE...] - clang-tidy (by .clang-tidy) and cppcheck over the product's sources; any finding fails.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
need_packages build test lint

cmake --preset clang >/dev/null
# what is generated must be there before it is read
cmake --build --preset clang --target cachefs -j "$(nproc)" >/dev/null

if [ $# -gt 0 ]; then
    files=("$@")
else
    mapfile -t files < <(find vfs backends cachefs warming metrics mount tools bench examples -name '*.c' | LC_ALL=C sort)
fi
echo "== clang-tidy, ${#files[@]} files"
code=0
printf '%s\0' "${files[@]}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p build/clang || code=1
echo "== cppcheck"
cppcheck --quiet --error-exitcode=1 --std=c11 --language=c -j "$(nproc)" -I . -I build/clang/tools \
    --enable=warning,performance,portability --inline-suppr \
    --suppressions-list=scripts/cppcheck-suppressions.txt "${files[@]}" || code=1
[ $code = 0 ] || { echo "lint: FAILED" >&2; exit 1; }
echo "lint: nothing found"
