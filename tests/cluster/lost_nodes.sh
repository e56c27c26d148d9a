#!/usr/bin/env bash
# Nodes that are lost while a sweep runs on them: by a link that is down for a while or for good, by the kill of a rank,
# by a power cut, and with the master.
#
#   SWEEP=<faults_journal_resume> JOURNAL=<rankpool-journal> ... bash lost_nodes.sh srun|mpirun
# shellcheck source-path=SCRIPTDIR source=slurm.sh
. "$(dirname "$0")/slurm.sh"

: "${SWEEP:?}" "${JOURNAL:?}"
launcher=${1:?srun or mpirun}
# As usual: Slurm gives up a node after minutes, and is no help.
export SLURMD_TIMEOUT=300
begin_cluster 2 2 2
ln "$SWEEP" app 2>/dev/null || cp "$SWEEP" app

# Its script has ended; Slurm still waits for the node.
is_over() { has_state 'COMPLETING|COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL'; }
struck=0
strike() {
  struck=$SECONDS
  "$@"
}
expect_end() {
  within 60 is_over || complain "the job has not ended in 60 s: $(of_job JobState)"
  echo "  the job has ended after $((SECONDS - struck)) s"
}
expect_told() {  # of which rank
  expect_text "^rankpool: rank ${1:-1} on n2 is lost: .*; the job can.t go on without it, and ends; of map .* have ended, and the journal has their results\$"
}
# mpirun may ask the master to end before that knows.
expect_told_unless_asked() {
  if [ "$launcher" = srun ]; then
    expect_told
  else
    expect_text '^rankpool: (rank 1 on n2 is lost: |the job is going to be ended: SIGTERM .* has come)'
  fi
}

# expect_each_once NUMBER FILE...: of tasks, each there once for each of the two calls.
expect_each_once() {
  [ "$(cat "${@:2}" | sort -n | uniq -c | awk '$1 == 2' | wc -l)" -eq $(($1 / 2)) ] &&
    [ "$(cat "${@:2}" | wc -l)" -eq "$1" ] || complain 'tasks ran twice, or not at all'
}

testing 'a link that is down for 5 s'
sweep 6000 "$RUN" --launcher "$launcher"
cluster link n2 down
sleep 5
cluster link n2 up
end_of_job
expect_status 0
expect_each_once 6000 "$ledger"

testing 'a link that is down for good, with two ranks on each node'
sweep 12000 "$RUN" --launcher "$launcher" --ranks-per-node 2
strike cluster link n2 down
expect_end
cluster link n2 up
end_of_job
expect_status 75
if [ "$launcher" = srun ]; then expect_told 1; else expect_told 2; fi
expect_nobody n1 n2 n3

testing 'a rank that is killed'
sweep 12000 "$RUN" --launcher "$launcher"
strike on n2 pkill -KILL --oldest --exact app  # it has forked the others
expect_end
end_of_job
expect_status 75
expect_told_unless_asked
expect_nobody n1 n2 n3

# Then the status is that of the killed rank.
bare=(srun --mpi=pmix)
[ "$launcher" = srun ] || bare=(mpirun --map-by ppr:1:node --bind-to none)
testing "the same under a bare ${bare[*]}"
sweep 12000 "${bare[@]}"
strike on n2 pkill -KILL --oldest --exact app
expect_end
end_of_job
expect_status 137
expect_nobody n1 n2 n3

# The node's other rank can't go on with its work, as on a single node: Open MPI doesn't, between nodes.
kill_last_rank() {  # of n2
  killed=$(on n2 ps -C app -o pid=,ppid= | awk '{ parent[$1] = $2 }
    END { for (pid in parent) if (!(parent[pid] in parent) && pid + 0 > last) last = pid + 0; print last }')
  strike on n2 kill -KILL "$killed"
  expect_end
  end_of_job
  expect_nobody n1 n2 n3
}

testing "one of a node's two ranks is killed"
sweep 12000 "$RUN" --launcher "$launcher" --ranks-per-node 2
kill_last_rank
expect_status 75
expect_text "^rankpool: (rank [34] on n2 \\(pid $killed\\) was killed, and its executors with it; going on|the job is going to be ended: SIGTERM )"

bare=(srun --mpi=pmix --ntasks=6 --ntasks-per-node=2 --overcommit)
[ "$launcher" = srun ] || bare=(mpirun --map-by ppr:2:node --oversubscribe --bind-to none)
testing "the same under a bare ${bare[*]}"
sweep 12000 "${bare[@]}"
kill_last_rank
expect_status 137

testing "the power cut of a worker's node"
sweep 12000 "$RUN" --launcher "$launcher"
strike cluster cut n2
expect_end
expect_nobody n1 n3
# Otherwise Slurm asks the node once in a minute whether it is done with the job. It takes it back when it registers.
on head scontrol update NodeName=n2 State=DOWN Reason=cut
end_of_job
cluster boot n2
expect_status 75
expect_told
"$JOURNAL" check sweep.journal >"$work/check" || complain "the journal is damaged: $(cat "$work/check")"
"$JOURNAL" export sweep.journal | sed -n 's/^#[12],\([0-9]*\).*/\1/p' >kept
: >"$ledger"
submit --nodes=3 --ntasks-per-node=1 --exclusive -- "$RUN" --launcher "$launcher" ./app sweep.journal "$ledger" 12000
end_of_job
expect_status 0
expect_each_once 12000 kept "$ledger"

testing "the power cut of the master's node"
sweep 12000 "$RUN" --launcher "$launcher"
strike cluster cut n1
for node in n2 n3; do within 60 nobody_on "$node" app || complain "ranks are left on $node"; done
echo "  the others' ranks have ended after $((SECONDS - struck)) s"
# Open MPI's daemons wait for a word of mpirun until TCP gives up, or Slurm the node.
on head scancel "$job"
expect_nobody n2 n3
finish
