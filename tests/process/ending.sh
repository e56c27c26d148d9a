#!/bin/sh
# The end of a job comes: by the clock, or by a signal. The program ends before it with status 75, nothing that has
# finished is lost, and the same program run again goes on.
#
#   JOURNAL=<rankpool-journal> ... ending.sh
. "$(dirname "$0")/harness.sh"

: "${JOURNAL:?}"
unset SLURM_JOB_ID
journal=$work/sweep.journal
ledger=$work/ledger

in_seconds() {
  echo $(($(date +%s) + $1))
}

# The tasks that the journal has results of.
kept() {
  journal_tool export "$journal" | sed -n 's/^#1,\([0-9]*\).*/\1/p' | sort -n
}

has_kept() {
  [ "$(kept 2>/dev/null | wc -l)" -ge "$1" ]
}

# start WAY ARGUMENT...: in the background.
start() {
  what="$*"
  way=$1
  shift
  # shellcheck disable=SC2046
  timeout --kill-after=5 30 $(launcher "$way") "$@" >"$out" 2>"$err" </dev/null &
  launched=$!
}

end_of_started() {
  wait "$launched"
  status=$?
  expect_gone
}

# goes_on WAY: the sweep, to its end; what the journal had does not run again.
goes_on() {
  journal_tool check "$journal" >"$work/check" || complain "the journal is damaged: $(cat "$work/check")"
  kept >"$work/kept"
  : >"$ledger"
  TASK_MS=1 run "$1" sweep "$journal" "$ledger" 600
  expect_status 0
  expect_lines 1 "^$((3 * 600 * 599 / 2))\$" "$out"
  sort -n "$ledger" "$work/kept" | uniq -c | awk '$1 != 1' >"$work/odd"
  [ ! -s "$work/odd" ] || complain "tasks that ran in vain, or twice: $(head -n 3 "$work/odd")"
  rm -f "$journal" "$ledger"
}

for way in $WAYS; do
  # The clock. Tasks are shorter than the grace: each that has begun is finished, and in the journal.
  export RANKPOOL_GRACE=2 TASK_MS=20
  RANKPOOL_END_TIME=$(in_seconds 4) run "$way" sweep "$journal" "$ledger" 600
  expect_status 75
  expect_lines 1 "^rankpool: the job's time ends at 20.*, and in its last 2 s no task is started; of map [0-9]+ of 600 tasks have ended, and the journal has their results\$" "$err"
  expect_gone
  kept >"$work/kept"
  sort -n "$ledger" | cmp -s - "$work/kept" || complain 'a task has begun whose result is not in the journal'
  [ "$(wc -l <"$ledger")" -ge 20 ] || complain 'next to nothing was done'
  goes_on "$way"

  # A signal to all processes, as batch systems send it: no executor dies of it.
  for signal in TERM USR1; do
    RANKPOOL_END_TIME=$(in_seconds 3600) start "$way" sweep "$journal" "$ledger" 600
    wait_until 20 has_kept 1 || complain 'nothing is kept'
    alive
    xargs kill -"$signal" <"$work/alive"
    wait_until 5 nobody || complain "goes on after SIG$signal"
    end_of_started
    expect_status 75
    expect_lines 1 "^rankpool: the job is going to be ended: SIG$signal .* has come; of map " "$err"
    expect_lines 0 'killed' "$err"
    goes_on "$way"
  done
done

# Only one that knows of no job dies of it, as any program does.
start alone works
wait_until 20 grep -q working "$out" || complain 'does not start'
alive
kill -TERM "$(head -n 1 "$work/alive")"
end_of_started
[ "$status" -eq 143 ] || complain "the status is $status, expected 143"

# What the program does with it.
RANKPOOL_END_TIME=$(in_seconds 3) RANKPOOL_GRACE=1 run alone catches
expect_status 75
expect_lines 1 '^caught the job.s time ends at ' "$out"
expect_lines 1 '^no other$' "$out"
for mode in works catches_and_works; do
  RANKPOOL_END_TIME=$(in_seconds 3) RANKPOOL_GRACE=1 run alone "$mode"
  expect_status 75
  expect_lines 1 '^working$' "$out"
  expect_lines 1 '^rankpool: .*; the program has not ended by itself, and does now$' "$err"
  expect_gone
done

# A stderr that nobody reads, a full pipe, does not keep it.
mkfifo "$work/stuck"
exec 5<>"$work/stuck"
head -c 65536 /dev/zero >&5
what='works, with a full stderr'
RANKPOOL_END_TIME=$(in_seconds 3) RANKPOOL_GRACE=1 timeout --kill-after=5 10 "$app" works >"$out" 2>&5 </dev/null
status=$?
exec 5>&-
expect_status 75

RANKPOOL_END_TIME=$(in_seconds 3) RANKPOOL_GRACE=1 run alone asks "$ledger" "$journal"
expect_status 75
[ "$(paste -s -d ' ' "$ledger")" = 'begun asked' ] || complain "the task was not asked: $(cat "$ledger")"
[ -z "$(kept)" ] || complain 'what a task returned that was asked to stop is kept as its result'
rm -f "$ledger" "$journal"

# Tasks that take longer than what is left do not begin: of 1 s each those of the last second and a half.
RANKPOOL_END_TIME=$(in_seconds 7) RANKPOOL_GRACE=1 RANKPOOL_PROCESSES=2 TASK_MS=1500 run alone sweep "$journal" "$ledger" 100
expect_status 75
sort -n "$ledger" >"$work/begun"
kept | cmp -s - "$work/begun" || complain "of the tasks $(paste -s "$work/begun") only $(kept | paste -s) have finished"
[ -s "$work/begun" ] || complain 'none has begun'
rm -f "$journal" "$ledger"

# Without grace, and with an end that is over.
RANKPOOL_END_TIME=$(in_seconds 1) RANKPOOL_GRACE=0 run alone sweep "$journal" "$ledger" 60
expect_status 0
rm -f "$journal" "$ledger"
RANKPOOL_END_TIME=1000 run alone catches
expect_status 75
RANKPOOL_END_TIME=soon run alone catches
expect_status error
expect_text 'RANKPOOL_END_TIME=soon is not understood'
finish
