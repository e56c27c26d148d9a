#!/bin/sh
# Limits that the whole program was started with: of data (RLIMIT_DATA), open files (RLIMIT_NOFILE) and locked memory
# (RLIMIT_MEMLOCK). It works, or it ends with an error that says what is short.
here=$(dirname "$0")
. "$here/../../process/harness.sh"
. "$here/user.sh"

# What the program's libraries leave of so little is enough for a pool; MPI wants more.
for kilobytes in 0 100 1000; do
  run_as_user alone "$kilobytes"
  expect_status 0
  expect_lines 1 '^right$'
done
for way in $WAYS; do
  run_as_user "$way" 65536
  expect_status 0
  expect_lines 1 '^right$'
  expect_gone
done

run_as_user alone 1000 fill
expect_status 0
expect_lines 1 '^[1-9][0-9]* calls had no memory$'
expect_gone

# None but the standard ones from here on.
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
right=0
refused=0
for files in 4 5 6 7 8 12 16; do
  limits="prlimit --nofile=$files"
  run_as_user alone
  if [ "$status" -eq 0 ]; then
    expect_lines 1 '^right$'
    right=$((right + 1))
  else
    expect_status error
    expect_lines 1 '^rankpool: .*ulimit -n'
    refused=$((refused + 1))
  fi
  expect_gone
done
[ "$right" -gt 0 ] || complain 'no number of files was enough'
[ "$refused" -gt 0 ] || complain 'no number of files was too small'
limits='prlimit --nofile=64'
for way in $WAYS; do
  run_as_user "$way"
  expect_status 0
  expect_lines 1 '^right$'
  expect_gone
done

for way in $WAYS; do
  limits='prlimit --memlock=0'
  run_as_user "$way"
  expect_status 0
  expect_lines 1 '^right$'
  expect_gone
done
finish
