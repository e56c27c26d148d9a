#!/bin/sh
# However the master ends: its text once, its status, and nobody left.
. "$(dirname "$0")/harness.sh"

for way in $WAYS; do
  run "$way" throw
  expect_status 1
  expect_lines 1 'the master gives up'
  expect_gone

  run "$way" exit
  expect_status 7
  expect_gone

  mkdir -p "$work/marks"
  run "$way" exit_during_a_map "$work/marks"
  expect_status 7
  expect_gone
  rm -r "$work/marks"
done

run alone throw_int
expect_status 1
expect_lines 1 'ended the master'
expect_gone

run alone return
expect_status 7
expect_gone
finish
