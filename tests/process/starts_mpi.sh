#!/bin/sh
# run() without a launcher leaves MPI alone; the master may start it, and so may the program before it opens a pool.
. "$(dirname "$0")/harness.sh"

run alone master
expect_status 0
expect_lines 1 '^before: 81$'
expect_lines 1 '^run\(\) has not started MPI$'
expect_lines 1 '^MPI with 1 rank: 9801$'
expect_lines 1 '^no MPI in tasks$'
expect_lines 1 '^after: 49$'
expect_gone

run alone before
expect_status 0
expect_lines 1 '^refused: processes must be .*-1$'
expect_lines 1 '^2 executors: 9801$'
expect_gone
finish
