#!/bin/sh
# Which CPUs the executors run on. A Slurm job is pretended: its variables say that all of the machine's CPUs are the
# job's.
. "$(dirname "$0")/harness.sh"

cpus=$(nproc)
[ "$cpus" -ge 2 ] || skip 'there is one CPU only'
all=$(taskset -cp $$ | sed 's/.*: //')
if RANKPOOL_LOG=info "$app" 2>&1 | grep -q 'by quota'; then skip 'others may use these CPUs'; fi
single='runs on [0-9]+$'

# in_job CPUS COMMAND...
in_job() {
  given=$1
  shift
  run_command env SLURM_JOB_ID=7 SLURM_CPUS_ON_NODE="$given" RANKPOOL_GRACE=0 RANKPOOL_LOG=info "$@"
}

# Base executors of the output that are bound, each to a CPU of its own.
expect_bound() {
  expect_status 0
  expect_lines "$1" "\(base\) $single"
  [ "$(grep -E "\(base\) $single" "$out" | sed 's/.* //' | sort -u | wc -l)" -eq "$1" ] || complain 'two share a CPU'
  expect_lines 1 '^rankpool: .* CPUs, bound\)'
}

expect_free() {
  expect_status 0
  expect_lines 0 "$single"
  expect_lines 0 'bound'
}

bound=$((cpus - 1))
what='a job with a CPU for the rank, too'
in_job "$cpus" env RANKPOOL_PROCESSES=$bound "$app"
expect_bound $bound

what='spare executors'
in_job "$cpus" env RANKPOOL_PROCESSES=$bound "$app" 2
expect_bound $bound
expect_lines $bound '\(spare\) runs on [0-9]+ [0-9 ]+$'

what='replaced executors'
in_job "$cpus" env RANKPOOL_PROCESSES=$bound "$app" 1 die
expect_bound $bound

what='a CPU for each executor and none for the rank'
in_job "$cpus" "$app"
expect_free

what="not in a job, on CPUs $all"
run_command env RANKPOOL_LOG=info RANKPOOL_PROCESSES=$bound "$app"
expect_free

what='a job on a part of the machine that sees all of it'
in_job $bound "$app"
expect_free
expect_lines 1 "^rankpool: .*\($bound on $bound of $cpus CPUs by Slurm\)"

case $WAYS in
  *mpirun*)
    what='a job of several ranks'
    in_job "$cpus" "$MPIEXEC" --oversubscribe --bind-to none -n 2 "$app"
    # The shares of two ranks are whole CPUs only where their number is even.
    if [ $((cpus % 2)) -eq 0 ]; then expect_bound $bound; fi
    what='ranks that mpirun has not bound'
    run_command env RANKPOOL_LOG=info "$MPIEXEC" --oversubscribe --bind-to none -n 2 "$app"
    expect_free
    expect_lines 1 '^rankpool: .*; Open MPI v[0-9.]*; shared memory on a node$'
    ;;
esac
finish
