#!/bin/sh
# A worker rank is killed, or the master: what becomes of the job.
#
#   RUN=<rankpool-run> sh rank_loss.sh [RUNS]
. "$(dirname "$0")/../process/harness.sh"

: "${RUN:?}"
runs=${1:-2}

# survives SEED NODES KILLS: so many of 5 worker ranks are killed, and every result is right.
survives() {
  what="$2 node(s), seed $1"
  RANKPOOL_TEST_NODES=$2 run_command "$RUN" --ranks 6 "$app" "$1" "$3" 1.5
  expect_status 0
  expect_text "tasks right, $3 ranks killed"
  expect_text 'rankpool: .*was killed'
  expect_gone 5
}

# The process of rank NUMBER of the running job.
rank_pid() {
  alive
  while read -r pid; do
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1" || continue
    # Not its zygote or executors, which began with the same environment.
    [ "$(ps -o comm= -p "$(ps -o ppid= -p "$pid")")" != "$name" ] || continue
    echo "$pid"
    return
  done <"$work/alive"
}

# kill_rank NUMBER [SIGNAL]
kill_rank() {
  pid=$(rank_pid "$1")
  if [ -n "$pid" ]; then kill "-${2:-KILL}" "$pid"; else complain "there is no rank $1"; fi
}

# The executors of rank NUMBER.
executors_of() {
  pgrep -P "$(pgrep -P "$(rank_pid "$1")" -x "$name")" -x "$name"
}

# at_work COMMAND...: starts a job of 60 s in the background and waits until it has its executors.
at_work() {
  timeout --kill-after=5 30 "$@" "$app" 1 0 60 >"$out" 2>"$err" </dev/null &
  job=$!
  wait_until 10 has_executors || complain 'the job does not start'
}

processes=8  # 3 ranks, 3 zygotes, 2 executors
has_executors() {
  alive
  [ "$(wc -l <"$work/alive")" -ge "$processes" ]
}

# A status other than 0, and in time.
expect_failure() {
  if [ "$status" -eq 0 ] || [ "$status" -eq 124 ]; then complain "the status is $status"; fi
}

job_status() {
  wait "$job"
  status=$?
}

seed=1
while [ "$seed" -le "$runs" ]; do
  survives "$seed" 1 3
  survives "$seed" 6 3
  # With a leader its node is lost: three kills could leave nobody.
  survives "$seed" 3 2
  RANKPOOL_PROCESSES=12
  export RANKPOOL_PROCESSES
  survives "$seed" 1 3
  unset RANKPOOL_PROCESSES
  seed=$((seed + 1))
done

what='mpirun without recovery, rank 2 killed'
at_work "$MPIEXEC" --oversubscribe --bind-to none -n 3
kill_rank 2
job_status
expect_failure
expect_text 'process rank 2 .* exited on signal 9'
expect_gone 5

# Whether the rank goes with its executor, after it, or when its executor has not been replaced yet.
processes=5  # 2 ranks, 2 zygotes, 1 executor
for order in rank both stopped; do
  what="the only rank with executors killed, $order"
  RANKPOOL_PROCESSES=1
  export RANKPOOL_PROCESSES
  at_work "$RUN" --ranks 2
  unset RANKPOOL_PROCESSES
  executor=$(executors_of 1)
  [ "$order" != stopped ] || kill_rank 1 STOP
  [ "$order" = rank ] || kill -KILL "$executor" || complain "there is no executor of rank 1"
  [ "$order" != stopped ] || sleep 0.3
  kill_rank 1
  job_status
  expect_status 1
  expect_text 'no executor is left on .*: they ended with rank 1 \(pid [0-9]+\), which was killed'
  expect_lines 0 'going on'
  expect_gone 5
done
processes=8

for nodes in 1 3; do
  what="rank 0 killed under recovery, $nodes node(s)"
  RANKPOOL_TEST_NODES=$nodes
  export RANKPOOL_TEST_NODES
  at_work "$RUN" --ranks 3
  unset RANKPOOL_TEST_NODES
  kill_rank 0
  job_status
  expect_status 1
  expect_text 'rank 0 ended without its status'
  expect_gone 5
done

what='a program that ends with an error under recovery'
run_command "$RUN" --ranks 3 "$app" 1 9 1
expect_status 7

what='SIGTERM to rankpool-run'
at_work "$RUN" --ranks 3
kill -TERM "$(pgrep -P "$job")"
job_status
expect_failure
expect_gone 5

what='a wrong option'
run_command "$RUN" --ranks none "$app"
expect_status 64
finish
