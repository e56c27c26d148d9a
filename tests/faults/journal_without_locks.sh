#!/bin/sh
# A journal on a file system without locks, as some that come over a network: a sweep that is killed goes on, there is
# one writer at a time, and rankpool-journal reads and changes it.
#
#   PROGRAM=<faults_journal_resume> NO_LOCKS=<faults_no_locks> JOURNAL=<rankpool-journal> sh journal_without_locks.sh
. "$(dirname "$0")/../process/harness.sh"

: "${JOURNAL:?}" "${NO_LOCKS:?}"
export RANKPOOL_PROCESSES=2
tasks=1000
journal=$work/sweep.journal
ledger=$work/ledger
sweep() { LD_PRELOAD=$NO_LOCKS NO_LOCKS_ERROR=$errno timeout 30 "$app" "$journal" "$ledger" "$tasks" >"$out" 2>"$err"; }
tool() { LD_PRELOAD=$NO_LOCKS NO_LOCKS_ERROR=$errno journal_tool "$@"; }
kept() { tool export "$journal" 2>/dev/null | grep -c '^#'; }
has_kept_some() { [ "$(kept)" -gt 0 ]; }
signal_all() { alive && xargs kill "-$1" <"$work/alive"; }

# expect_to_run NUMBER: of tasks; the results are the same each time.
expect_to_run() {
  : >"$ledger"
  sweep
  status=$?
  expect_status 0
  [ "$(cat "$out")" = "${sum:=$(cat "$out")}" ] || complain "the results differ from $sum"
  [ "$(wc -l <"$ledger")" -eq "$1" ] || complain "$(wc -l <"$ledger") tasks ran, expected $1"
}

for entry in 'ENOLCK 37' 'ENOSYS 38' 'EOPNOTSUPP 95'; do
  what=${entry% *} errno=${entry#* }
  rm -f "$journal"
  sweep &
  job=$!
  wait_until 20 has_kept_some || complain 'no results are kept'
  signal_all STOP
  "$app" "$journal" "$ledger" "$tasks" >"$out" 2>"$err"
  status=$?
  expect_status error
  expect_text 'is in use by process [0-9]+ on '
  signal_all KILL
  wait "$job" 2>/dev/null
  wait_until 5 nobody || complain 'processes are left'

  before=$(kept)
  [ "$before" -gt 0 ] || complain 'nothing was kept'
  expect_to_run $((tasks - before))
  tool check "$journal" >"$out" || complain 'the journal is damaged'
  expect_to_run 0
  tool rename "$journal" '#1' first || complain 'the call has no other key'
  [ "$(tool export "$journal" first | grep -c '^first,')" -eq $((tasks / 2)) ] || complain 'results are missing'
done
finish
