#!/usr/bin/env bash
# How long the start and the end of a pool on 16 nodes, with 4 executors each, take beyond what srun takes for its own, and
# beyond what MPI takes, too: medians of three in turns.
#
#   HELLO=<cluster_hello_mpi> ... bash cold_start.sh [ROUNDS]
# shellcheck source-path=SCRIPTDIR source=slurm.sh
. "$(dirname "$0")/slurm.sh"

: "${HELLO:?}"
rounds=${1:-3}
begin_cluster 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4

# In one job, which Slurm needs its time for, too. --overlap, or a step may wait for a minute until the one before it,
# which has ended, is cleared away on all nodes.
cat >turns <<'END'
#!/bin/bash
timed() {  # <name> <command>...
  local begun=$EPOCHREALTIME ended
  srun --mpi=pmix --cpu-bind=none --overlap "${@:2}" || exit
  ended=$EPOCHREALTIME
  echo "$1: $(((${ended/./} - ${begun/./}) / 1000)) ms"
}
for ((round = 0; round < $1; ++round)); do
  timed srun true
  timed MPI "$HELLO"
  timed pool "$SPREAD" 640 1000
done
END
chmod +x turns

testing '16 ranks with 4 executors each'
export SLURM_PMIX_FENCE=tree RANKPOOL_PROCESSES=64
# Ranks wait for messages without sleeping. On nodes of their own they take nobody's CPU by that.
export OMPI_MCA_mpi_yield_when_idle=1
run salloc --nodes=16 --ntasks-per-node=1 --exclusive ./turns "$rounds"
expect_status 0
expect_lines "$rounds" '^640 results, 0 wrong, 64 executors$'
grep ' ms$' "$out"
[ "$problems" -eq 0 ] || finish
median() { sed -n "s/^$1: \(.*\) ms$/\1/p" "$out" | sort -n | sed -n "$((rounds / 2 + 1))p"; }
beyond=$(($(median pool) - $(median srun)))
echo "the pool takes $beyond ms beyond srun, $(($(median pool) - $(median MPI))) ms beyond srun and MPI"
[ "$beyond" -le 3000 ] || complain 'that is more than 3 s'
finish
