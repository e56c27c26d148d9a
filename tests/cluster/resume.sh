#!/usr/bin/env bash
# A sweep in a preemptible job that is ended again and again: by its time limit, by scancel, by the power cut of the
# master's node. It goes on each time with what its journal has, and its results are those of a run that nobody disturbs.
#
#   SWEEP=<faults_journal_resume> JOURNAL=<rankpool-journal> ... bash resume.sh
# shellcheck source-path=SCRIPTDIR source=slurm.sh
. "$(dirname "$0")/slurm.sh"

: "${SWEEP:?}" "${JOURNAL:?}"
tasks=16000
kept=$work/kept  # the tasks that the journal had results of when the ledger was emptied last

begin_cluster 2 2 2
nodes=(n1 n2 n3)
cp "$SWEEP" app
: >"$ledger"
: >"$kept"

waits_again() { has_state PENDING && [ "$(of_job Restarts)" = "$1" ]; }

# Each task's number is there twice: once in each of the two calls. None begins whose result was kept.
expect_each_once() {
  cat "$kept" "$ledger" | sort -n | uniq -c | awk '$1 > 2' >"$work/again"
  [ ! -s "$work/again" ] || complain "tasks ran whose results were kept: $(head -n 3 "$work/again")"
}

# ends_by COUNT: the job is in the queue again, for the COUNTth time.
ends_by() {
  within 60 waits_again "$1" || complain "the job does not wait to be started again: $(of_job JobState)"
  expect_nobody "${nodes[@]}"
  "$JOURNAL" check sweep.journal >"$work/check" || complain "the journal is damaged: $(cat "$work/check")"
  expect_each_once
  "$JOURNAL" export sweep.journal | sed -n 's/^#[12],\([0-9]*\).*/\1/p' >"$kept"
  : >"$ledger"
  echo "$what: $(wc -l <"$kept") of $tasks results kept"
}

testing 'the time limit'
# The minute that is the shortest limit has ten seconds before this grace. The signal must not come first: Slurm sends it
# up to half a minute early.
job=$(RANKPOOL_GRACE=50 on head "$SUBMIT" --dry-run --preemptible --nodes 3 --time 1 --output "$out" \
  ./app sweep.journal "$ledger" "$tasks" >script.sh &&
  RANKPOOL_GRACE=50 on head sbatch --parsable --signal=B:USR1@1 script.sh)
within 30 begun 1000 || complain 'the sweep does not begin'
ends_by 1
expect_lines 1 '^rankpool: the job.s time ends at .*, and in its last 50 s no task is started; of map '
# From here on a run ends for the reason given, also on a machine that is slow.
on head scontrol update JobId="$job" TimeLimit=10 || complain 'the job has the old time limit'

testing 'scancel, and put into the queue'
within 60 begun 1000 || complain 'the sweep does not go on'
on head scancel "$job"
within 30 has_state CANCELLED || complain "the job is not cancelled: $(of_job JobState)"
on head scontrol requeue "$job"
ends_by 2

# The batch script is there, too, and the journal's owner.
testing "the power cut of the master's node"
within 60 begun 1000 || complain 'the sweep does not go on'
cluster cut n1
nodes=(n2 n3)
ends_by 3
cluster boot n1

testing 'to the end'
# Slurm gives a node that has failed to no job until it has registered again.
within 150 has_state COMPLETED || complain "the job has not ended: $(of_job JobState)"
expect_each_once
cat "$kept" "$ledger" | sort -n | uniq -c | awk '$1 != 2' >"$work/odd"
[ ! -s "$work/odd" ] || complain "tasks that ran twice, or not at all: $(head -n 3 "$work/odd")"
sum=$(grep -E '^[0-9.]+$' "$out")
testing 'undisturbed'
batch --nodes=3 --ntasks-per-node=1 --exclusive -- "$RUN" ./app other.journal "$ledger" "$tasks"
expect_status 0
[ "$(grep -E '^[0-9.]+$' "$out")" = "$sum" ] || complain "the results of the job that was disturbed were $sum"
finish
