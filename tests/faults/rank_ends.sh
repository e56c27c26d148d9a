#!/bin/sh
# A rank ends before all ranks have come to the pool, or leaves others behind that MPI can't end: the job ends in time,
# with a status, and says why.
#
#   RUN=<rankpool-run> sh rank_ends.sh
. "$(dirname "$0")/../process/harness.sh"

: "${RUN:?}"

# job CASE RANK [MILLISECONDS]
job() {
  what="$*"
  run_command "$RUN" --ranks 4 "$app" "$@"
}

ends_with_error() {
  expect_status error
  expect_text 'rankpool: (a rank|rank [0-9]) was killed or ended before all ranks had come to the pool'
  expect_gone 5
}

for rank in 0 2; do
  job exit "$rank"
  ends_with_error
  job kill "$rank"
  ends_with_error
  job kill-dup "$rank"
  ends_with_error
done
job exit 0
expect_status 4

# At no time does the job hang: it has not begun, or goes on, or is over.
for pause in 50 100 150 200 250 300 350 400; do
  job kill-at 1 "$pause"
  [ "$status" -eq 7 ] || expect_status error
  expect_gone 5
done

job finalize 2
expect_status 7
expect_text 'all tasks right'
expect_gone 5

job at-exit 2
expect_status 7
expect_text 'a summary at exit'
expect_gone 5

job again 2
expect_status error
expect_lines 1 'rankpool: can.t start another pool: ranks were killed in an earlier one' "$err"
expect_gone 5

what='a program that is no program of rankpool'
run_command "$RUN" --ranks 2 true
expect_status error
expect_text 'rank 0 ended without its status'

what='a program that is not there'
run_command "$RUN" --ranks 2 "$work/none"
expect_status 127
finish
