#!/bin/sh
# No more processes (RLIMIT_NPROC): when the pool starts, when an executor is to be replaced, and when all are gone.
here=$(dirname "$0")
. "$here/../../process/harness.sh"
. "$here/user.sh"

RANKPOOL_PROCESSES=4
export RANKPOOL_PROCESSES

# One line, whatever happens meanwhile.
expect_warnings() {
  expect_lines "$1" '^rankpool: going on, although (only [1-9] of [1-9] executors?|no executor) can be started on .*ulimit -u' "$err"
  expect_lines "$1" 'rankpool: .*(ulimit -u|executor can be|executors can be)' "$err"
}

if [ -n "$as_user" ]; then
  limits='prlimit --nproc=4'
  fresh_directory
  run_as_user alone "$marks" share
  expect_status 0
  expect_lines 1 '^2 executors share$'
  expect_warnings 1
  expect_text 'only 2 of 4 executors.* The others are tried again'
  RANKPOOL_LOG=quiet run_as_user alone "$marks" share
  expect_status 0
  expect_warnings 0
  limits=
fi

for way in $WAYS; do
  fresh_directory
  run_as_user "$way" "$marks" replace
  expect_status 0
  expect_lines 1 '^all but one share$'
  expect_lines 1 '^all share again$'
  expect_warnings 1
  expect_gone

  fresh_directory
  run_as_user "$way" "$marks" none
  expect_status 0
  expect_lines 1 '^broken after [0-2]\..*: no executor can be started on .*ulimit -u'
  expect_gone

  fresh_directory
  run_as_user "$way" "$marks" start 0 1 2
  expect_status error
  expect_lines 1 'rankpool: an exception ended the master: no executor can be started on .*ulimit -u'
  expect_gone

  [ "$way" != alone ] || continue
  fresh_directory
  # Without time between SIGTERM and SIGKILL, mpirun of Open MPI 4.1 itself now and then hangs when a rank of whatever
  # program ends before MPI_Init (24 of 250 times; with that second none of 70).
  OMPI_MCA_odls_base_sigkill_timeout=1 run_as_user "$way" "$marks" zygote 2
  # mpirun's own word, which may be a SIGPIPE of its own: the rank has gone before MPI_Init.
  case $status in 0 | 124 | 137) complain "the status is $status, expected that of an error" ;; esac
  expect_lines 1 "^rankpool: can't start the process that forks executors: .*ulimit -u"
  expect_gone

  fresh_directory
  run_as_user "$way" "$marks" start 1
  expect_status 0
  expect_lines 1 '^[23] executors share$'
  expect_lines 1 '^all share$'
  expect_warnings 1
  expect_gone
done
finish
