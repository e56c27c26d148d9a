#!/bin/sh
# run() without a launcher leaves MPI alone; the master may start it, and so may the program before it opens a pool.
# Under a launcher run() needs all of MPI's thread support.
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
expect_lines 1 '^the child was refused: .*in a fork'
expect_lines 1 '^2 executors: 9801$'
expect_gone

run mpirun funneled
expect_status error
expect_lines 3 '^rankpool: run\(\) needs MPI_THREAD_MULTIPLE.*MPI_THREAD_FUNNELED.*Pool::open'
expect_lines 0 'before:'
expect_gone
finish
