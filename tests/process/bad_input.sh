#!/bin/sh
# What the user gets wrong: a text that says what to do, a status other than 0, and no hang.
#
#   ... OTHER_PROGRAM=<path> bad_input.sh
. "$(dirname "$0")/harness.sh"

# refused_variable NAME=VALUE REGEX
refused_variable() {
  what="$1 alone"
  run_command env "$1" "$app"
  expect_status error
  expect_text "$2"
  expect_lines 0 'executors$'
  expect_gone
}

accepted_variable() {
  what="$1 alone"
  run_command env "$1" "$app"
  expect_status 0
  expect_lines 1 'executors$'
}

refused_variable RANKPOOL_CHUNKSIZE=abc 'RANKPOOL_CHUNKSIZE=abc.*whole number'
refused_variable RANKPOOL_PROCESSES=-1 'RANKPOOL_PROCESSES=-1.*whole number'
refused_variable RANKPOOL_SCHEDULE=foo 'RANKPOOL_SCHEDULE=foo.*one of.*static.*guided'
refused_variable SLURM_STEP_NUM_TASKS=4 'Slurm started 4 tasks.*srun --mpi=pmix.*mpirun'
accepted_variable SLURM_STEP_NUM_TASKS=1

accepted_variable RANKPOOL_PROCESES=4
expect_lines 1 'RANKPOOL_PROCESES.*did you mean RANKPOOL_PROCESSES'

what='processes = -1'
run_command "$app" -1
expect_status error
expect_lines 1 'processes must be .*-1'
expect_gone

what='chunksize = -2'
run_command "$app"
expect_status 0
expect_lines 1 '^refused: chunksize must be .*-2'

what=RANKPOOL_LOG=info
run_command env RANKPOOL_LOG=info RANKPOOL_PROCESES=4 "$app" 2
expect_status 0
expect_lines 1 '^rankpool: 2 executors, 1 rank, 1 node:'
expect_lines 1 'did you mean'

what='RANKPOOL_LOG=info and a name'
run_command env RANKPOOL_LOG=info RANKPOOL_NAME=solver RANKPOOL_PROCESES=4 SLURM_CPUS_ON_NODE=6400 "$app" 64
expect_status 0
expect_lines 3 '^rankpool: solver: (the environment variable|64 executors will share|64 executors, 1 rank)'

what='RANKPOOL_INLINE=1'
run_command env RANKPOOL_INLINE=1 RANKPOOL_PROCESES=4 "$app"
expect_status 0
expect_lines 1 'did you mean RANKPOOL_PROCESSES'

what=RANKPOOL_LOG=quiet
run_command env RANKPOOL_LOG=quiet RANKPOOL_PROCESES=4 SLURM_CPUS_ON_NODE=6400 "$app" 64
expect_status 0
expect_lines 0 '' "$err"

case $WAYS in *mpirun*) ;; *) finish ;; esac

what='a launcher of another MPI'
run_command env OMPI_COMM_WORLD_SIZE=4 "$app"
expect_status error
expect_text 'started 4 ranks, but MPI_COMM_WORLD has 1.*mpirun.*srun --mpi=pmix'
expect_gone

what='RANKPOOL_CHUNKSIZE=abc under mpirun'
RANKPOOL_CHUNKSIZE=abc run mpirun
expect_status error
expect_text 'RANKPOOL_CHUNKSIZE=abc.*whole number'
expect_gone

what='mixed programs'
mkdir "$work/other"
use_program "${OTHER_PROGRAM:?}" "$work/other/$name"
run_command "$MPIEXEC" --oversubscribe --bind-to none -n 2 "$app" : -n 1 "$work/other/$name"
expect_status error
expect_lines 3 "rank 2 on $(hostname).*executable"
expect_gone
finish
