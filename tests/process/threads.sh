#!/bin/sh
# Threads that a program has before run() are warned of: once, whatever the number of ranks and runs.
. "$(dirname "$0")/harness.sh"

for way in $WAYS; do
  run "$way"
  expect_status 0
  expect_lines 2 '^16$'
  expect_lines 1 'threads already'
  expect_lines 1 '^rankpool: first: this process has 2 threads already'

  RANKPOOL_LOG=quiet run "$way"
  expect_status 0
  expect_lines 2 '^16$'
  expect_lines 0 'rankpool:'

  # No tasks in forks, no danger.
  RANKPOOL_INLINE=1 run "$way"
  expect_status 0
  expect_lines 0 'rankpool:'
done
finish
