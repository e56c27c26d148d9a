#!/bin/sh
# However the master ends: its text once, its status, and nobody left.
. "$(dirname "$0")/harness.sh"

# ends WAY STATUS HOW: by itself, with nothing to say.
ends() {
  mkdir "$work/marks"
  run "$1" "$3" "$work/marks"
  expect_status "$2"
  expect_lines 0 'rankpool:|the master saw'
  expect_gone
  rm -r "$work/marks"
}

for way in $WAYS; do
  run "$way" throw
  expect_status 1
  expect_lines 1 'the master gives up'
  expect_gone

  ends "$way" 7 exit
  ends "$way" 7 exit_during_a_map
  # Threads race: once more where it takes milliseconds.
  for _ in $([ "$way" = alone ] && seq 10 || echo once); do
    ends "$way" 5 thread_exits_during_a_map
    ends "$way" 5 thread_exits_while_the_master_sleeps
  done
  ends "$way" 5 exit_in_a_result
  ends "$way" 5 exit_in_a_futures_result
done

RANKPOOL_INLINE=1
export RANKPOOL_INLINE
for way in $WAYS; do
  ends "$way" 5 exit_in_a_task
  ends "$way" 5 exit_in_a_result
  ends "$way" 5 exit_in_a_futures_result
done
unset RANKPOOL_INLINE

run alone throw_int
expect_status 1
expect_lines 1 'ended the master'
expect_gone

ends alone 7 return
finish
