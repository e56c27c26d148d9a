#!/bin/sh
# A journal on a file system without locks, as some that come over a network: a sweep that is killed goes on, there is
# one writer at a time, and rankpool-journal reads and changes it.
#
#   PROGRAM=<faults_journal_resume> NO_LOCKS=<faults_no_locks> JOURNAL=<rankpool-journal> sh journal_without_locks.sh
. "$(dirname "$0")/../process/harness.sh"

: "${JOURNAL:?}" "${NO_LOCKS:?}"
journal=$work/sweep.journal
ledger=$work/ledger
sweep() { LD_PRELOAD=$NO_LOCKS NO_LOCKS_ERROR=$errno timeout 30 "$app" "$journal" "$ledger" 1000 >"$out" 2>"$err"; }
tool() { LD_PRELOAD=$NO_LOCKS NO_LOCKS_ERROR=$errno journal_tool "$@" >"$out" 2>"$err"; }
begun() { [ "$(wc -l <"$ledger" 2>/dev/null || echo 0)" -ge 300 ]; }

for entry in 'ENOLCK 37' 'ENOSYS 38' 'EOPNOTSUPP 95'; do
  what=${entry% *} errno=${entry#* }
  rm -f "$journal" "$ledger"
  sweep &
  job=$!
  wait_until 20 begun || complain 'the sweep does not begin'
  tool list "$journal" || complain 'rankpool-journal does not list it while it is written'
  "$app" "$journal" "$ledger" 1000 >"$out" 2>"$err"
  status=$?
  expect_status error
  expect_text 'is in use by process [0-9]+ on '
  alive && xargs kill -KILL <"$work/alive"
  wait "$job" 2>/dev/null
  wait_until 5 nobody || complain 'processes are left'

  sweep
  status=$?
  expect_status 0
  tool check "$journal" || complain 'the journal is damaged'
  : >"$ledger"
  sweep
  [ ! -s "$ledger" ] || complain "tasks run again: $(head -n 3 "$ledger")"
  tool rename "$journal" '#1' first || complain 'the call has no other key'
  tool export "$journal" first || complain 'nothing is exported'
  [ "$(grep -c '^first,' "$out")" -eq 500 ] || complain 'results are missing'
done
finish
