#!/usr/bin/env bash
# Programs under a real Slurm on pretended nodes: launched in all ways, spread over all nodes, killed, and run again.
#
#   EP=<example_nas_ep> SPREAD=<cluster_spread> SWEEP=<faults_journal_resume> JOURNAL=<rankpool-journal> slurm_test.sh [CASE]...
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${EP:?}" "${SPREAD:?}" "${SWEEP:?}" "${JOURNAL:?}"
work=$(mktemp -d /tmp/slurm-test.XXXXXX)
export CLUSTER=$work/cluster
problems=0
what=

# Root runs mpirun here, and no rank is bound: all nodes are this machine.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
one_rank_per_node=(--ntasks-per-node=1)
by_mpirun=(mpirun --map-by ppr:1:node --bind-to none)
by_srun=(srun --mpi=pmix)

cluster() { bash "$here/cluster.sh" "$@"; }
on() { cluster on "$@"; }
trap 'cluster down; rm -rf "$work"' EXIT

complain() {
  problems=$((problems + 1))
  echo "$what: $1"
  tail -n 20 "$work/out" 2>/dev/null | sed 's/^/  /'
}
expect_text() { grep -Eq -e "$1" "$work/out" || complain "no line matches: $1"; }
expect_status() { [ "$status" -eq "$1" ] || complain "the status is $status, expected $1"; }

# batch OPTION... -- COMMAND...: as a job, to its end; its output is in $work/out.
submit() {
  local options=()
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  { echo '#!/bin/bash'; printf '%q ' "$@"; echo; } >"$work/job.sh"
  rm -f "$work/out"
  job=$(on n1 sbatch --parsable --output="$work/out" --open-mode=append "${options[@]}" "$work/job.sh")
}
job_state() { on head squeue --noheader --states=all --jobs="$job" --format=%T; }
has_ended() { case $(job_state) in PENDING | RUNNING | COMPLETING | CONFIGURING) false ;; esac; }
# within SECONDS COMMAND...
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.2
  done
}
end_of_job() {  # [SECONDS]
  if ! within "${1:-60}" has_ended; then
    complain "the job has not ended in ${1:-60} s: $(job_state)"
    on head scancel "$job"
  fi
  status=$(on head scontrol show job "$job" | sed -n 's/.*ExitCode=\([0-9]*\):.*/\1/p')
}
batch() {
  submit "$@"
  end_of_job
}

launches() {
  cluster up 2 2 2 2
  what='sbatch, mpirun'
  batch --nodes=4 "${one_rank_per_node[@]}" --cpus-per-task=2 -- "${by_mpirun[@]}" "$EP" --class W
  expect_status 0
  expect_text 'verification +SUCCESSFUL'
  expect_text 'on 7 executors'
  what='sbatch, srun'
  batch --nodes=4 "${one_rank_per_node[@]}" --cpus-per-task=2 -- "${by_srun[@]}" "$EP" --class W
  expect_status 0
  expect_text 'verification +SUCCESSFUL'
  expect_text 'on 7 executors'
  what='sbatch, srun, a rank per core'
  batch --nodes=4 --ntasks-per-node=2 -- "${by_srun[@]}" "$EP" --class W
  expect_status 0
  expect_text 'verification +SUCCESSFUL'
  what=salloc
  on n1 salloc --nodes=4 "${one_rank_per_node[@]}" --cpus-per-task=2 "${by_srun[@]}" "$EP" --class W >"$work/out" 2>&1
  status=$?
  expect_status 0
  expect_text 'verification +SUCCESSFUL'
  what='an array of jobs'
  submit --array=1-3 --nodes=1 --cpus-per-task=2 -- "$EP" --class S
  end_of_job
  [ "$(grep -Ec 'verification +SUCCESSFUL' "$work/out")" -eq 3 ] || complain 'not all of the array have succeeded'
  cluster down
}

spread() {
  what='50,000 tasks on 16 nodes'
  cluster up 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2
  batch --nodes=16 "${one_rank_per_node[@]}" --cpus-per-task=2 -- "${by_srun[@]}" "$SPREAD" 50000 2000
  expect_status 0
  expect_text '^50000 results, 0 wrong'
  cat "$work/out"
  # The first node has an executor less: the master's CPU.
  awk '$1 ~ /^n[0-9]+$/ { if ($2 < 1000 || $2 > 5000) exit 1; ++nodes } END { exit nodes != 16 }' "$work/out" ||
    complain 'the tasks are not spread over the nodes'
  cluster down
}

# A sweep is killed in three ways, and goes on each time with what its journal has.
requeue() {
  cluster up 2 2 2
  local journal=$work/sweep.journal ledger=$work/ledger
  what='an undisturbed sweep'
  batch --nodes=3 "${one_rank_per_node[@]}" --cpus-per-task=2 -- "${by_srun[@]}" "$SWEEP" "$work/other.journal" "$ledger" 6000
  expect_status 0
  local expected
  expected=$(cat "$work/out")
  : >"$ledger"
  submit --nodes=3 "${one_rank_per_node[@]}" --cpus-per-task=2 --requeue -- "${by_srun[@]}" "$SWEEP" "$journal" "$ledger" 6000
  local way
  for way in requeue 'cut n2' 'cut n1'; do
    what="a sweep disturbed by $way"
    within 60 test -s "$ledger" || complain 'the sweep has not begun'
    sleep 3
    case $way in
      requeue) on head scontrol requeue "$job" ;;
      cut*) cluster $way; sleep 12; cluster boot "${way#cut }" ;;
    esac
    cp "$journal" "$work/copy.journal" 2>/dev/null
    "$JOURNAL" check "$work/copy.journal" >>"$work/out" || complain 'the journal is damaged'
    "$JOURNAL" export "$work/copy.journal" | sed -n 's/^#\([12]\),\([0-9]*\).*/\1 \2/p' | sort >"$work/kept"
    echo "$way: $(wc -l <"$work/kept") results kept, $(job_state)"
    : >"$ledger"
    on head scontrol update JobId="$job" StartTime=now >/dev/null 2>&1
  done
  end_of_job 90
  expect_status 0
  [ "$(tail -n 1 "$work/out")" = "$expected" ] || complain "the results differ from $expected"
  { cut -d ' ' -f 2 "$work/kept"; cat "$ledger"; } | sort -n | uniq -c | awk '$1 != 2' >"$work/odd"
  [ ! -s "$work/odd" ] || complain "tasks that ran twice, or not at all: $(head -n 3 "$work/odd")"
  cluster down
}

for case in "${@:-launches spread requeue}"; do
  for name in $case; do
    begin=$SECONDS
    "$name"
    echo "$name: $((SECONDS - begin)) s"
  done
done
[ "$problems" -eq 0 ]
