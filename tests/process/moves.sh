#!/bin/sh
# A master may move its pool away, to drop it or to keep it: it ends with run() in any case.
. "$(dirname "$0")/harness.sh"

for way in $WAYS; do
  for how in drop drop_exit keep keep_exit; do
    run "$way" $how
    expect_status 7
    expect_lines 0 'rankpool:'
    expect_gone
  done
  for how in drop_throw keep_throw; do
    run "$way" $how
    expect_status 1
    expect_lines 1 'the master gives up'
    expect_gone
  done
done
finish
