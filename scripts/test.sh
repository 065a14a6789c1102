#!/usr/bin/env bash
# test.sh - installs, builds and runs everything; ends with ctest's summary of the dev build, and with 0 only if all is well.
#
#   scripts/test.sh                 clang and a release without warnings; race tests under TSan; all tests in the dev build, and
#                                   under ASan and UBSan all but the long tier (`--preset asan` runs that too)
#   scripts/test.sh --short         the short tests of the dev build: a developer's loop
#   scripts/test.sh --preset NAME   one preset only: dev, release, asan, tsan, coverage, clang, valgrind (again: more)
#   scripts/test.sh -- ARGS         ARGS go to ctest, such as -L unit or -R warm
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/run-tests.sh

short=0
presets=()
ctest_args=()
while [ $# -gt 0 ]; do
    case "$1" in
    --short) short=1 ;;
    --preset)
        [ $# -gt 1 ] || { echo "test.sh: --preset takes a name" >&2; exit 2; }
        presets+=("$2")
        shift
        ;;
    --) shift; ctest_args=("$@"); break ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "test.sh: what is $1? See --help" >&2; exit 2 ;;
    esac
    shift
done
if [ ${#presets[@]} = 0 ]; then
    if [ $short = 1 ]; then presets=(dev); else presets=(clang release tsan asan dev); fi
fi

groups=(build test)
if [ $short = 0 ]; then groups+=(docs); fi
for preset in "${presets[@]}"; do
    case "$preset" in
    dev | release | asan | tsan) ;;
    coverage) groups+=(coverage) ;;
    clang) groups+=(clang) ;;
    valgrind) groups+=(valgrind) ;;
    *) echo "test.sh: there is no preset $preset" >&2; exit 2 ;;
    esac
done
need_packages "${groups[@]}"
need_s3rver

# Every report of a sanitizer fails its test.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}"

jobs=$(nproc)
failed=()
run_preset() {
    local preset="$1" args=()
    echo "== $preset: build"
    cmake --preset "$preset" -DCACHEFS_WERROR=ON >/dev/null || return 1
    if ! cmake --build --preset "$preset" -j "$jobs" | tee "build/$preset/build.log"; then
        { echo "== $preset: the build failed"; grep -E -A 5 'FAILED:|error:|warning:' "build/$preset/build.log" | tail -n 60; } >>$TEST_REPORT
        return 1
    fi
    # these are there for their warnings, unless they were asked for by name; some need an optimizer
    if [[ "$preset" = clang || "$preset" = release ]] && [ ${#presets[@]} -gt 1 ]; then return 0; fi
    if [ $short = 1 ]; then args+=(-L short); fi
    # what is long in the dev build is four times as long there, with the same code
    if [ "$preset" = asan ] && [ ${#presets[@]} -gt 1 ]; then args+=(-LE long); fi
    echo "== $preset: tests"
    run_tests "$preset" ${args[@]+"${args[@]}"} ${ctest_args[@]+"${ctest_args[@]}"}
}

for preset in "${presets[@]}"; do
    run_preset "$preset" || failed+=("$preset")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "test.sh: FAILED: ${failed[*]}" >&2
    exit 1
fi
