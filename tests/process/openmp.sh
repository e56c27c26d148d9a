#!/bin/sh
# Two executors whose tasks have two threads each.
. "$(dirname "$0")/harness.sh"

for way in $WAYS; do
  run "$way"
  expect_status 0
  expect_lines 1 '^2 executors, 200 tasks, 0 wrong$'
  expect_gone
done
finish
