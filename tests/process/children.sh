#!/bin/sh
# What a task starts dies with it. Tasks may launch MPI programs, and the master programs of its own; but no fork of
# either is a second executor or a second master.
. "$(dirname "$0")/harness.sh"

# Told from all other sleeps by their length.
long=98$$

sleepers() {
  [ "$(pgrep -c -f "^sleep $long\$")" -eq "$1" ]
}

uses_pool() {
  run "$1" uses_pool
  expect_status 0
  expect_lines 1 '^refused: rankpool: map was used in a fork'
  expect_lines 2 '^refused: rankpool: a future or a stream of a pool was used in a fork'
  expect_lines 1 "^the child's future does not run\$"
  expect_lines 1 '^the child ended with 9$'
  expect_lines 1 'an exception ended the master: the child gives up$'
  expect_lines 1 '^the other one ended with 1$'
  expect_lines 1 '^the stream goes on: 014$'
  expect_lines 1 '^the pool goes on: 16$'
  expect_gone
}

for way in $WAYS; do
  what="$way sleepers"
  mkdir "$work/marks"
  # Not quoted: it is several words.
  # shellcheck disable=SC2046
  timeout --kill-after=5 30 $(launcher "$way") sleepers "$work/marks" "sleep $long & sleep $long" \
    >"$out" 2>"$err" </dev/null &
  launched=$!
  wait_until 20 sleepers 2 || complain 'the task did not start its commands'
  kill -KILL "$(basename "$work"/marks/task.* | sed 's/task\.//')"
  wait_until 2 sleepers 0 || complain "left: $(pgrep -a -f "^sleep $long\$")"
  wait "$launched"
  status=$?
  expect_status 0
  expect_lines 1 '^lost: .*SIGKILL'
  expect_lines 1 '^the pool goes on: 16$'
  expect_gone
  rm -r "$work/marks"

  run "$way" forks
  expect_status 0
  expect_lines 1 '^another program$'
  expect_lines 1 '^it ended with 5$'
  expect_lines 1 '^the fork ended with 6$'
  expect_lines 1 '^the pool goes on: 16$'
  expect_gone

  run "$way" comes_back
  expect_status 0
  expect_lines 4 '^task [0-3] is alone$'
  expect_lines 8 '^rankpool: .*come back out of the task' "$err"
  expect_lines 1 '^12 of 12 are right$'
  expect_lines 1 '^the pool goes on: 16$'
  expect_gone

  [ "${MASTER_FORKS:-yes}" = no ] || uses_pool "$way"

  [ -n "$MPIEXEC" ] || continue
  root=
  [ "$(id -u)" -ne 0 ] || root=--allow-run-as-root
  run "$way" launches "$MPIEXEC $root --oversubscribe --bind-to none -n 2 hostname"
  expect_status 0
  expect_lines 2 "^$(hostname)\$" "$out"
  expect_lines 1 '^status 0$'
  expect_gone
done

RANKPOOL_INLINE=1 run alone comes_back
expect_status 0
expect_lines 1 '^12 of 12 are right$'

run alone runs
expect_status 7
expect_lines 1 "^the child's run gave 7, the parent's 7\$"
expect_gone

run alone kills_zygote
expect_status 0
expect_lines 1 '^broken: .*the process that forks them was killed; .*memory'
expect_lines 0 'ulimit'
expect_gone
finish
