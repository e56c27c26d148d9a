#!/bin/sh
# No memory for the channel: at the start, for a call's inputs, a task's result and an exception. Always an error, and
# never a SIGBUS when the memory is used.
. "$(dirname "$0")/../../process/harness.sh"

for way in $WAYS; do
  CHANNEL_MB=1 run "$way" nothing
  expect_status error
  expect_text 'rankpool: .*no memory for [0-9]+ MB more of the channel'
  expect_gone

  CHANNEL_MB=64 run "$way" inputs
  expect_status 0
  expect_lines 3 '^caught: .*no memory for [0-9]+ MB more of the channel.*send less at a time'
  expect_lines 1 '^right$'
  expect_lines 0 'SIGBUS'
  expect_gone

  CHANNEL_MB=64 run "$way" results
  expect_status 0
  expect_lines 1 "^caught: .*no memory in the channel for the task's result of 10485[0-9]* bytes"
  expect_lines 1 '^right$'
  expect_gone

  CHANNEL_MB=64 run "$way" exceptions
  expect_status 0
  expect_lines 1 '^right$'
  expect_gone
done
finish
