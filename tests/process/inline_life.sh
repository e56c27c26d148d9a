#!/bin/sh
# RANKPOOL_INLINE=1: a task that runs keeps other threads from nothing.
. "$(dirname "$0")/harness.sh"

export RANKPOOL_INLINE=1
for way in $WAYS; do
  run "$way"
  expect_status 0
  expect_lines 0 'FAILED|rankpool:'
  expect_gone
done
finish
