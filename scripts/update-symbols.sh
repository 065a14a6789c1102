#!/usr/bin/env bash
# update-symbols.sh [BUILD] - makes tests/abi/symbols.txt anew from the shared library in BUILD (build/dev). Look at the
# difference before you commit it: a name that went away breaks programs.
set -euo pipefail
cd "$(dirname "$0")/.."
library=${1:-build/dev}/libcachefs.so
[ -e "$library" ] || { echo "update-symbols.sh: there is no $library; build it first" >&2; exit 1; }
nm -D --defined-only "$library" | awk '{print $NF}' | sed 's/@.*//' | grep -vE '^(__|_init$|_fini$)' | LC_ALL=C sort -u \
    >tests/abi/symbols.txt
git diff --stat -- tests/abi/symbols.txt
