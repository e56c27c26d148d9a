#!/bin/sh
# run() several times, on all ranks alike.
. "$(dirname "$0")/harness.sh"

for way in $WAYS; do
  run "$way"
  expect_status 0
  expect_lines 1 '^first: 2 executors, 24502500$'
  expect_lines 1 '^second: 1 executors, 24502500$'
  expect_lines 1 'the third gives up'
  expect_lines 1 '^fourth: 3 executors, 24502500$'
  expect_lines "$([ "$way" = alone ] && echo 1 || echo 3)" '^after run$'
  expect_gone
done
finish
