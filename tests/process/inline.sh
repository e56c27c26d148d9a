#!/bin/sh
# RANKPOOL_INLINE=1: tasks run in the master's own process, which debuggers and valgrind can follow.
#
#   ... inline.sh [memcheck]
. "$(dirname "$0")/harness.sh"

export RANKPOOL_INLINE=1

expect_report() {
  expect_status 0
  expect_lines 1 '^1 executors$'
  expect_lines 1 '^100 of 100 tasks in the master.s process$'
  expect_lines 1 '^caught: task 3 fails$'
  expect_lines 1 '^refused: chunksize'
  expect_gone
}

if [ "${1:-}" = memcheck ]; then
  command -v valgrind >/dev/null || skip 'there is no valgrind'
  what=memcheck
  timeout --kill-after=5 100 valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
    "$app" >"$out" 2>"$err" </dev/null
  status=$?
  expect_report
  finish
fi

for way in $WAYS; do
  run "$way"
  expect_report
done

export RANKPOOL_INLINE=0
run alone
expect_status 0
expect_lines 1 '^0 of 100 tasks in the master.s process$'
finish
