# shellcheck shell=bash
# Sourced by the tests under a real Slurm on pretended nodes: brings it up, runs jobs on it, and takes it down.
#
#   EP=<example_nas_ep> SPREAD=<cluster_spread> RUN=<rankpool-run> SUBMIT=<rankpool-submit> bash test.sh
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${EP:?}" "${SPREAD:?}" "${RUN:?}" "${SUBMIT:?}"
work=$(mktemp -d /tmp/slurm-test.XXXXXX)
export CLUSTER=$work/cluster
# Open MPI's folders have the names of machines, which those of another cluster have, too, and of processes there.
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
out=$work/out
problems=0
what='' began=0
job='' status=''

# What ctest tells Open MPI is not what a user's shell has. Root is asked about mpirun.
unset "${!OMPI_MCA_@}"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

cluster() { bash "$here/cluster.sh" "$@"; }
on() { cluster on "$@"; }
trap '[ ! -e "$CLUSTER" ] || cluster down; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# begin_cluster CPUS...: nodes n1, n2, ... with so many CPUs. The tests' files are in $work, as in a home directory.
begin_cluster() {
  cluster up "$@" || exit "$?"
  cd "$work" || exit 1
}

end_case() {
  [ -z "$what" ] || echo "$what: $((SECONDS - began)) s"
}

testing() {
  end_case
  what=$1 began=$SECONDS
  rm -f "$out"
}

complain() {
  problems=$((problems + 1))
  echo "$what: $1"
  [ ! -s "$out" ] || tail -n 30 "$out" | sed 's/^/  /'
}

expect_status() { [ "$status" -eq "$1" ] || complain "the status is $status, expected $1"; }
expect_text() { grep -Eq -e "$1" "$out" || complain "no line matches: $1"; }
# expect_lines NUMBER REGEX
expect_lines() {
  local found
  found=$(grep -Ec -e "$2" "$out")
  [ "$found" -eq "$1" ] || complain "$found lines match, expected $1: $2"
}
expect_verified() {
  expect_status 0
  expect_lines 1 'verification +SUCCESSFUL'
}

# within SECONDS COMMAND...: fails when the command has not succeeded by then.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# run COMMAND...: on the machine that users log in to.
run() {
  on head timeout --kill-after=5 60 "$@" >"$out" 2>&1 </dev/null
  status=$?
}

# submit OPTION... -- COMMAND...: a batch job, whose output is in $out.
submit() {
  local options=()
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  { echo '#!/bin/bash'; printf '%q ' "$@"; echo; } >"$work/job.sh"
  job=$(on head sbatch --parsable --output="$out" --open-mode=append "${options[@]}" "$work/job.sh")
}

# The value of NAME in what Slurm says of the job.
of_job() { on head scontrol show job "$job" | sed -n "s/.*\b$1=\([^ ]*\).*/\1/p"; }
has_state() { [[ $(of_job JobState) =~ ^($1)$ ]]; }

end_of_job() {
  if ! within 60 has_state 'COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL'; then
    complain "the job has not ended in 60 s: $(of_job JobState)"
    on head scancel "$job"
  fi
  status=$(of_job ExitCode)
  status=${status%:*}
}

batch() {
  submit "$@"
  end_of_job
}

ledger=$work/ledger  # the tasks of a sweep that have begun
# begun NUMBER: of tasks, at least.
begun() { [ "$(wc -l <"$ledger")" -ge "$1" ]; }

# sweep TASKS COMMAND...: ./app with a journal, launched by that, in a job that is not requeued.
sweep() {
  rm -f sweep.journal
  : >"$ledger"
  submit --nodes=3 --ntasks-per-node=1 --exclusive --no-requeue -- "${@:2}" ./app sweep.journal "$ledger" "$1"
  within 30 begun 500 || complain 'the sweep does not begin'
}

# nobody_on NODE [NAMES]: of the program and what has launched it.
nobody_on() { on "$1" sh -c '! ps -C "$1" -o stat= | grep -q "^[^Z]"' sh "${2:-app,orted,mpirun,srun}"; }
expect_nobody() {
  local node
  for node; do within 30 nobody_on "$node" || complain "processes are left on $node"; done
}

finish() {
  end_case
  [ "$problems" -eq 0 ]
  exit
}
