#!/usr/bin/env bash
# Nodes that are lost while a sweep runs on them: by a link that is down for a while or for good, by the kill of their
# rank, and with the master.
#
#   SWEEP=<faults_journal_resume> ... bash lost_nodes.sh
# shellcheck source-path=SCRIPTDIR source=slurm.sh
. "$(dirname "$0")/slurm.sh"

: "${SWEEP:?}"
# As usual: Slurm gives up a node after minutes, and is no help.
export SLURMD_TIMEOUT=300
begin_cluster 2 2 2
ln "$SWEEP" app 2>/dev/null || cp "$SWEEP" app

# Its script has ended; Slurm still waits for the node.
is_over() { has_state 'COMPLETING|COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL'; }
expect_end() { within 60 is_over || complain "the job has not ended in 60 s: $(of_job JobState)"; }
expect_told() {
  expect_text '^rankpool: rank [12] on n2 is lost: .*; the job can.t go on without it, and ends; of map .* have ended, and the journal has their results$'
}

for launcher in srun mpirun; do
  testing "a link that is down for 5 s, $launcher"
  sweep 6000 "$RUN" --launcher "$launcher"
  cluster link n2 down
  sleep 5
  cluster link n2 up
  end_of_job
  expect_status 0
  [ "$(sort -n "$ledger" | uniq -c | awk '$1 != 2' | wc -l)" -eq 0 ] || complain 'tasks ran twice, or not at all'

  ranks=1
  [ "$launcher" = srun ] || ranks=2
  testing "a link that is down for good, $launcher, ranks per node: $ranks"
  sweep 12000 "$RUN" --launcher "$launcher" --ranks-per-node "$ranks"
  cluster link n2 down
  expect_end
  cluster link n2 up
  end_of_job
  expect_status 75
  expect_told
  expect_nobody n2
done

PATH=$(dirname "$RUN"):$PATH
# Under a bare srun or mpirun the status is that of the killed rank. mpirun may ask the master to end before that knows.
for entry in '75 rankpool-run --launcher srun' '75 rankpool-run --launcher mpirun' '137 srun --mpi=pmix' \
             '137 mpirun --map-by ppr:1:node --bind-to none'; do
  read -ra launcher <<<"$entry"
  expected=${launcher[0]} launcher=("${launcher[@]:1}")
  testing "a rank that is killed, ${launcher[*]}"
  sweep 12000 "${launcher[@]}"
  on n2 pkill -KILL --oldest --exact app  # it has forked the others
  expect_end
  end_of_job
  expect_status "$expected"
  case ${launcher[*]} in
    *--launcher\ srun) expect_told ;;
    *--launcher\ mpirun) expect_text '^rankpool: (rank 1 on n2 is lost: |the job is going to be ended: SIGTERM .* has come)' ;;
  esac
  expect_nobody n1 n2 n3
done

# The node's other rank can't go on with its work, as on a single node: Open MPI doesn't, between nodes.
for launcher in srun mpirun; do
  testing "one of a node's two ranks is killed, $launcher"
  sweep 12000 "$RUN" --launcher "$launcher" --ranks-per-node 2
  last=$(on n2 ps -C app -o pid=,ppid= | awk '{ parent[$1] = $2 }
    END { for (pid in parent) if (!(parent[pid] in parent) && pid + 0 > last) last = pid + 0; print last }')
  on n2 kill -KILL "$last"
  expect_end
  end_of_job
  expect_status 75
  expect_text "^rankpool: (rank [34] on n2 \\(pid $last\\) was killed, and its executors with it; going on|the job is going to be ended: SIGTERM )"
  expect_nobody n1 n2 n3
done

testing "the master's node"
sweep 12000 "$RUN"
cluster cut n1
for node in n2 n3; do within 60 nobody_on "$node" || complain "processes are left on $node"; done
on head scancel "$job"
finish
