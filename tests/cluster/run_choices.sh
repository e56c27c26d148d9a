#!/usr/bin/env bash
# What rankpool-run would start in all kinds of places: without any of them, by their variables and a pretended srun.
#
#   RUN=<rankpool-run> bash run_choices.sh
set -uo pipefail

: "${RUN:?}"
work=$(mktemp -d /tmp/run-choices.XXXXXX)
trap 'rm -rf "$work"' EXIT
problems=0

# A tool of the user who is not root, and a srun with PMIx in one folder, one without in the other.
mkdir "$work/pmix" "$work/plain"
for folder in pmix plain; do
  printf '#!/bin/sh\necho 1000\n' >"$work/$folder/id"
  printf '#!/bin/sh\necho none; echo pmi2; [ %s = plain ] || echo pmix\n' "$folder" >"$work/$folder/srun"
  chmod +x "$work/$folder"/*
done
tools=$work/pmix

# in_place "VARIABLE=VALUE..." OPTION...
in_place() {
  local variables
  read -ra variables <<<"$1"
  shift
  env -i PATH="$tools:$PATH" "${variables[@]}" bash "$RUN" --dry-run "$@" true x 2>&1
}

# expect WHERE WHAT "VARIABLE=VALUE..." OPTION...: what is printed.
expect() {
  local where=$1 expected=$2 printed
  shift 2
  printed=$(in_place "$@")
  printed=${printed% }
  [ "$printed" = "$expected" ] || {
    problems=$((problems + 1))
    printf '%s\n  expected  %s\n  printed   %s\n' "$where" "$expected" "$printed"
  }
}

# What all commands of srun have in common: srun NODES [WITHOUT]
srun() {
  echo "env ${2:+$2 }SLURM_PMIX_FENCE=tree srun --mpi=pmix --nodes=$1 --cpu-bind=none --input=0 --export=ALL --kill-on-bad-exit=1"
}
recovery='env OMPI_MCA_async_mpi_finalize=1 mpirun --bind-to none --enable-recovery --oversubscribe'

expect 'a workstation' 'true x' ''
expect 'a workstation, ranks' "$recovery -n 4 true x" '' --ranks 4
expect 'a workstation, ranks per node' "$recovery -n 4 true x" '' --ranks-per-node=4
expect 'a workstation, executors' 'env RANKPOOL_PROCESSES=3 true x' '' -n 3
expect 'a workstation, mpirun' "$recovery -n 1 true x" '' --launcher mpirun

batch='SLURM_JOB_ID=1 SLURMD_NODENAME=n1 SLURM_JOB_NUM_NODES'
expect 'a batch job, one node' 'true x' "$batch=1"
expect 'a batch job, one node, ranks' "$recovery -n 4 true x" "$batch=1" --ranks 4
expect 'a batch job' "$(srun 4) --ntasks=4 --ntasks-per-node=1 true x" "$batch=4"
expect 'a batch job, nodes' "$(srun 2) --ntasks=2 --ntasks-per-node=1 true x" "$batch=4" --nodes 2
expect 'a batch job, one of its nodes' 'true x' "$batch=4" --nodes 1
expect 'a batch job, one of its nodes, ranks' "$recovery -n 3 --host localhost:3 true x" \
  "$batch=4" --nodes 1 --ranks 3
expect 'a batch job, ranks' "$(srun 4) --ntasks=9 --overcommit true x" "$batch=4" --ranks 9
expect 'a batch job, ranks per node' \
  "$(srun 4) --ntasks=12 --ntasks-per-node=3 --overcommit --distribution=cyclic true x" "$batch=4" --ranks-per-node 3
expect 'a batch job, --cpus-per-task' \
  "$(srun 4 '-u SLURM_CPUS_PER_TASK -u SRUN_CPUS_PER_TASK') --ntasks=4 --ntasks-per-node=1 true x" \
  "$batch=4 SLURM_CPUS_PER_TASK=8 SRUN_CPUS_PER_TASK=8"
expect 'a batch job, mpirun' 'mpirun --bind-to none --map-by ppr:1:node true x' "$batch=4" --launcher mpirun
expect 'a batch job, mpirun, nodes' 'mpirun --bind-to none --map-by ppr:1:node -n 3 true x' \
  "$batch=4" --launcher mpirun --nodes 3
expect 'a batch job, mpirun, ranks' 'mpirun --bind-to none --oversubscribe -n 9 true x' \
  "$batch=4" --launcher mpirun --ranks 9

salloc='SLURM_JOB_ID=1 SLURM_JOB_NUM_NODES'
expect 'the shell of salloc, one node' "$(srun 1) --ntasks=1 --ntasks-per-node=1 true x" "$salloc=1"
expect 'the shell of salloc' "$(srun 2) --ntasks=2 --ntasks-per-node=1 true x" "$salloc=2"

tools=$work/plain
expect 'a batch job without PMIx' 'mpirun --bind-to none --map-by ppr:1:node true x' "$batch=4"
tools=$work/pmix

step="$batch=4 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS"
expect 'a rank of srun' 'true x' "$step=4 PMIX_RANK=2"
expect 'the only rank of srun' 'true x' "$step=1 PMIX_RANK=0"
expect 'a rank of mpirun' 'true x' "$batch=4 OMPI_COMM_WORLD_SIZE=4"
expect 'a task of srun without MPI, which the program refuses' 'true x' "$step=4"
expect 'a single task of srun without MPI' "$(srun 4) --ntasks=4 --ntasks-per-node=1 --overlap true x" "$step=1"
expect 'a single task of srun without MPI, mpirun' \
  'env SLURM_OVERLAP=1 mpirun --bind-to none --map-by ppr:1:node true x' "$step=1" --launcher mpirun
expect 'a rank that has inherited the port of a terminal' 'true x' "$step=4 PMIX_RANK=2 SLURM_PTY_PORT=1"

# The shell of `srun --pty` has a terminal.
expect_in_terminal() {
  local where=$1 expected=$2
  shift 2
  printed=$(env -i PATH="$tools:$PATH" "$@" script --quiet --command "bash $RUN --dry-run true x" /dev/null </dev/null |
    tr -d '\r\0\4\b' | sed 's/\^D//g; s/ *$//')
  [ "$printed" = "$expected" ] || {
    problems=$((problems + 1))
    printf '%s\n  expected  %s\n  printed   %s\n' "$where" "$expected" "$printed"
  }
}
shell=(SLURM_JOB_ID=1 SLURMD_NODENAME=n1 SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=2 SLURM_PTY_PORT=1 PMIX_RANK=0)
expect_in_terminal 'the shell of srun --pty' \
  "$(srun 2 '-u PMIX_RANK -u SLURM_PTY_PORT -u SLURM_STEP_NUM_TASKS') --ntasks=2 --ntasks-per-node=1 --overlap true x" \
  SLURM_JOB_NUM_NODES=2 "${shell[@]}"
expect_in_terminal 'the shell of srun --pty, one node' \
  'env -u PMIX_RANK -u SLURM_PTY_PORT -u SLURM_STEP_NUM_TASKS true x' SLURM_JOB_NUM_NODES=1 "${shell[@]}"

printf 'a\na\nb\n' >"$work/hosts"
printf 'a 4 all.q\nb 4 all.q\n' >"$work/pe_hosts"
ppr='mpirun --bind-to none --map-by ppr:1:node'
expect 'PBS' "$ppr true x" "PBS_NODEFILE=$work/hosts"
expect 'LSF' "$ppr true x" "LSB_DJOB_HOSTFILE=$work/hosts"
mapfile -t older < <(env -i PATH="$tools:$PATH" LSB_HOSTS='a a b' bash "$RUN" --dry-run true x)
[ "${older[0]% }" = "$ppr true x" ] || { problems=$((problems + 1)); echo "LSF, its older variable: ${older[*]}"; }
expect 'Grid Engine' "$ppr true x" "PE_HOSTFILE=$work/pe_hosts"
printf 'a\na\n' >"$work/hosts"
expect 'PBS, one host' 'true x' "PBS_NODEFILE=$work/hosts"

wrong() { expect "$1" "rankpool-run: $2; see rankpool-run --help" "${@:3}"; }
wrong 'too many nodes' '--nodes 5: the batch system has given 4' "$batch=4" --nodes 5
wrong 'nodes without a job' '--nodes 2: the batch system has given 1' '' --nodes 2
wrong 'srun without a job' '--launcher srun: this is no job of Slurm' '' --launcher srun
wrong 'ranks alone' 'several ranks need a launcher' '' --launcher none --ranks 2
wrong 'both kinds of ranks' '--ranks and --ranks-per-node exclude each other' '' --ranks 2 --ranks-per-node 2
wrong 'ranks of a rank' 'this is a rank already, of mpirun or srun, which decide on nodes, ranks and launcher' \
  "$step=4 PMIX_RANK=2" --ranks 2
wrong 'no launcher' '--launcher ssh: neither srun nor mpirun nor none' '' --launcher ssh
wrong 'no number' '--nodes two: not a number of nodes' "$batch=4" --nodes two
lines=$(bash "$RUN" --help | wc -l)
[ "$lines" -le 24 ] || { problems=$((problems + 1)); echo "--help has $lines lines"; }
[ "$problems" -eq 0 ]
