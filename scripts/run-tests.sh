# shellcheck shell=bash
# run-tests.sh - runs ctest and keeps what failed, so that it can be said at the end. Sourced: run_tests PRESET [CTEST-ARGS].
#
# With CACHEFS_TEST_AGAIN=1, as in CI, a test that failed is run twice more, alone. If both pass, it is reported and does not count as
# failed: it had bad luck, or a machine that was too busy. That is not granted to a report of a sanitizer or of valgrind, to a test of
# the race kind, or when more than three tests of a preset fail.

TEST_REPORT=build/test-report.txt

# print_failures DIR: what each test that failed printed; of a long text the end.
print_failures() {
    local dir="$1" name
    while IFS=: read -r _ name; do
        echo "-- $name"
        awk -v name="$name" '/^[0-9]+\/[0-9]+ Testing: / { on = ($3 == name) } on; /time elapsed: / { on = 0 }' "$dir/LastTest.log" | tail -n 60
    done <"$dir/LastTestsFailed.log"
}

# look_again PRESET: reports what failed; 0 if it was no more than bad luck.
look_again() {
    local preset="$1" dir="build/$1/Testing/Temporary" names found
    [ -s "$dir/LastTestsFailed.log" ] || return 1
    names=$(cut -d: -f2 "$dir/LastTestsFailed.log" | tr '\n' ' ')
    found=$(print_failures "$dir")
    printf '== %s: failed: %s\n%s\n' "$preset" "$names" "$found" >>$TEST_REPORT
    [ "${CACHEFS_TEST_AGAIN:-0}" = 1 ] && [ "$preset" != tsan ] || return 1
    [ "$(wc -l <"$dir/LastTestsFailed.log")" -le 3 ] || return 1
    if grep -qE 'Sanitizer|runtime error:|ERROR SUMMARY: [1-9]' <<<"$found"; then return 1; fi
    if grep -qE '^race_' <<<"$names"; then return 1; fi
    ctest --preset "$preset" --rerun-failed --repeat until-fail:2 -j 1 || return 1
    printf '== %s: passed twice when run again, alone: %s\n' "$preset" "$names" >>$TEST_REPORT
}

run_tests() {
    local preset="$1"
    shift
    rm -f "build/$preset/Testing/Temporary/LastTestsFailed.log"
    ctest --preset "$preset" -j "$(nproc)" "$@" || look_again "$preset"
}
