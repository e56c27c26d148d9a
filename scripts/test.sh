#!/usr/bin/env bash
# test.sh [--long]
# Sets up, checks the layout of the source and its documentation, builds, and runs the tests: those labelled `ci`, or
# with --long all. A part of the unit tests and of the pools as ./app runs again under AddressSanitizer and under
# ThreadSanitizer, with --long all of them. libFuzzer gives the decoders bytes that nobody encoded. The last line is the
# verdict.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1

labels=(-L '^ci$')
long=
purposes=(build test fuzz docs)
case "${1:-}" in
  '') ;;
  --long)
    long=yes
    labels=()
    ;;
  *) echo "usage: $0 [--long]" >&2; exit 2 ;;
esac

# Reasons that excuse a skip: the means do not exist on every machine. Any other skip counts as a failure.
excused='the sanitizer|may use one CPU only|needs root|needs an unprivileged user|needs Slurm|needs network namespaces'

passed=0
failed=0
skipped=0

fail() {
  failed=$((failed + 1))
  echo "FAILED: $*"
}

check() {  # <what> <command>...
  local what=$1 begun=$SECONDS
  shift
  printf '\n== %s\n' "$what"
  if "$@"; then
    passed=$((passed + 1))
    echo "$what: $((SECONDS - begun)) s"
  else
    fail "$what, after $((SECONDS - begun)) s"
    return 1
  fi
}

check_format() {
  find include src examples tests -name '*.[ch]pp' -print0 | xargs -0 clang-format --dry-run -Werror
}

junit_number() {  # <attribute> <junit file>
  sed -n "s/.*[[:space:]]$1=\"\([0-9]*\)\".*/\1/p" "$2" | head -n 1
}

# Both kinds of skip: Googletest's ("file:12: Skipped", the reason on the next line) and "skipped: reason" of the tests
# that end with status 77.
skip_reasons() {
  awk '/: Skipped$/ { if ((getline reason) > 0 && reason != "") print reason; else print "no reason given"; next }
       /^skipped: /  { print substr($0, 10) }' "$1"
}

count_skips() {  # <ctest's log> <tests that ctest itself counts as skipped>
  local reasons reason
  reasons=$(skip_reasons "$1")
  while IFS= read -r reason; do
    [ -n "$reason" ] || continue
    skipped=$((skipped + 1))
    echo "skipped: $reason"
    [[ $reason =~ $excused ]] || fail "a skip where the means should exist: $reason"
  done <<<"$reasons"
  if [ "$2" -gt "$(grep -c . <<<"$reasons")" ]; then
    fail "tests were skipped without a reason"
  fi
}

run_ctest() {  # <preset> <option for ctest>...
  local preset=$1 build=build/$1 report status=0
  shift
  report=$root/$build/tests.xml
  rm -f "$report" "$build/Testing/Temporary/LastTest.log"
  printf '\n== tests: %s\n' "$preset"
  ctest --preset "$preset" --output-junit "$report" "$@" || status=$?
  if [ ! -s "$report" ]; then
    fail "ctest of $preset ended with status $status and without a report"
    return
  fi
  local all bad off
  all=$(junit_number tests "$report")
  off=$(grep -c 'skipped message="SKIP_RETURN_CODE' "$report")
  # A test that could not even start, because another one that it needs has failed, has not passed either.
  bad=$(($(junit_number failures "$report") + $(grep -c 'skipped message' "$report") - off))
  passed=$((passed + all - bad - off))
  failed=$((failed + bad))
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then fail "ctest of $preset ended with status $status"; fi
  count_skips "$build/Testing/Temporary/LastTest.log" "$off"
}

build_and_run() {  # <preset> <option for ctest>...
  check "configure $1" cmake --preset "$1" && check "build $1" cmake --build --preset "$1" && run_ctest "$@"
}

# Building all of them takes minutes: without --long, those that reach most of the memory, and those with most threads.
asan_programs=(codec_test damaged_image_test damaged_values_test exception_image_test future_test inline_host_test journal_test
  last_words_test piece_builder_test record_reader_test result_stream_test scheduler_test shared_ends_test shared_objects_test stderr_tail_test
  stream_buffer_test wire_test zygote_test arena_test calls_test callables_test crash_matrix_test crashes_test futures_test
  life_cycle_test lifetimes_test pool_errors_test scribbled_channel_test serialization_test speculation_test streams_test
  threads_test types_test worker_lost_test chaos_test terminate_test)
tsan_programs=(calls_test chaos_test ends_test future_test futures_test life_cycle_test limits_test pool_journal_test result_stream_test
  seat_test shared_locks_test stopped_test stream_buffer_test streams_test terminate_test threads_test waiting_test)

run_programs() {  # <preset> <program>...
  local preset=$1 names
  shift
  names=$(IFS='|' && echo "$*")
  check "configure $preset" cmake --preset "$preset" && check "build $preset" cmake --build --preset "$preset" --target "$@" &&
    run_ctest "$preset" -R "^(unit|pool|faults)\\.($names)(\\.alone|\\.inline)?\$"
}

if check 'set-up' bash scripts/setup.sh "${purposes[@]}"; then
  check 'clang-format' check_format
  check 'documentation' bash scripts/docs.sh
  build_and_run dev "${labels[@]}"
  if [ -n "$long" ]; then
    build_and_run asan
    build_and_run tsan
  else
    run_programs asan "${asan_programs[@]}"
    run_programs tsan "${tsan_programs[@]}"
  fi
  build_and_run fuzz "${labels[@]}"
fi

printf '\n%s: %d passed, %d failed, %d skipped, %d s\n' \
  "$([ "$failed" -eq 0 ] && echo 'tests passed' || echo 'tests FAILED')" "$passed" "$failed" "$skipped" "$SECONDS"
[ "$failed" -eq 0 ]
