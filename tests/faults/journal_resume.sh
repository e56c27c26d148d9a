#!/bin/sh
# A sweep with a journal is killed again and again, and run to its end: its results are those of an undisturbed one, and
# no task runs twice whose result was in the journal. That has all that ended more than a flush interval before the kill.
#
#   PROGRAM=<faults_journal_resume> JOURNAL=<rankpool-journal> [MPIEXEC=...] [WAYS=...] sh journal_resume.sh
. "$(dirname "$0")/../process/harness.sh"

: "${JOURNAL:?}"
tasks=2800
journal=$work/sweep.journal
ledger=$work/ledger

# The tasks that the journal has results of, each as "<call> <task>".
kept() {
  journal_tool export "$journal" | sed -n 's/^#\([12]\),\([0-9]*\).*/\1 \2/p' | sort
}

# has_kept NUMBER: of results, at least.
has_kept() {
  [ "$(kept 2>/dev/null | wc -l)" -ge "$1" ]
}

all_gone() {
  alive && xargs kill -KILL <"$work/alive" 2>/dev/null
  wait_until 5 nobody || complain 'processes are left'
}

# kill_amid WAY WHOM: starts the sweep, lets it keep some more results, and kills its master, or all of it.
kill_amid() {
  # shellcheck disable=SC2046
  timeout --kill-after=5 30 $(launcher "$1") "$journal" "$ledger" "$tasks" >"$out" 2>"$err" </dev/null &
  job=$!
  wait_until 20 has_kept $(($(wc -l <"$kept_before") + 50)) || complain 'no results are kept'
  cp "$ledger" "$work/early"
  case $2 in
    master)
      : >"$work/early"
      alive
      kill -KILL "$(head -n 1 "$work/alive")"
      ;;
    all)
      sleep 2.5  # a flush interval of 1 s, and what a busy machine and its disk take
      alive
      xargs kill -KILL <"$work/alive"
      ;;
  esac
  wait "$job" 2>/dev/null
  all_gone
}

for way in $WAYS; do
  what=$way
  rm -f "$journal" "$ledger"
  kept_before=$work/kept
  : >"$kept_before"
  for whom in master all; do
    kill_amid "$way" "$whom"
    journal_tool check "$journal" >"$out" || complain 'the journal is damaged'
    for file in "$journal"*; do cp "$file" "$work/copy${file#"$journal"}"; done
    journal_tool rename "$work/copy" '#1' first || complain 'a killed program still has the journal'
    rm -f "$work"/copy*
    kept >"$work/kept_now"
    # Both calls have tasks of the same numbers.
    comm -13 "$kept_before" "$work/kept_now" | cut -d ' ' -f 2 | sort >"$work/new"
    sort "$work/early" | comm -23 - "$work/new" >"$work/lost"
    [ ! -s "$work/lost" ] || complain "tasks that had ended seconds before the kill are not kept: $(head -n 3 "$work/lost")"
    mv "$work/kept_now" "$kept_before"
    : >"$ledger"
  done
  run "$way" "$journal" "$ledger" "$tasks"
  expect_status 0
  [ "$(cat "$out")" = "${sum:=$(cat "$out")}" ] || complain "the results differ from $sum"
  # Both calls have tasks of the same numbers: what ran and what was there make each twice.
  { cut -d ' ' -f 2 "$kept_before"; cat "$ledger"; } | sort -n | uniq -c | awk '$1 != 2' >"$work/odd"
  [ ! -s "$work/odd" ] || complain "tasks that ran twice, or not at all: $(head -n 3 "$work/odd")"
  [ "$(kept | wc -l)" -eq "$tasks" ] || complain 'the journal lacks results'
  expect_gone
  run "$way" "$work/other.journal" "$ledger" "$tasks"
  [ "$(cat "$out")" = "$sum" ] || complain "an undisturbed run gives other results: $(cat "$out")"
  rm -f "$work/other.journal"
done

what='rankpool-journal'
journal_tool rename "$journal" '#1' first || complain 'the call has no other key'
journal_tool rename "$journal" '#2' first 2>"$err" && complain 'two calls have the same key'
expect_text 'has a call first already'
[ "$(journal_tool export "$journal" first | grep -c '^first,')" -eq $((tasks / 2)) ] || complain 'that is not the call'
journal_tool export "$journal" '#1' >"$out" 2>"$err"
status=$?
expect_status error
[ ! -s "$out" ] || complain 'it prints something of a call that is not there'
expect_text "has no call #1"
finish
