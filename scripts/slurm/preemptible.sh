#!/bin/bash
# A job that goes on where it stopped: when its time is over or others need its nodes, it puts itself into the queue
# again, and the program takes from its journal what is done. For a program that calls
# pool.map(f, inputs, {.journal = "sweep.journal"}). Copy it, change what has a comment, and
#
#   sbatch preemptible.sh
#SBATCH --job-name=sweep
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
# So many whole nodes. Where nodes are shared, instead of --exclusive: --cpus-per-task=16, for 16 CPUs of each node.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
# The time of each run, hours:minutes:seconds: a good deal longer than a task. Slurm tells this script a minute before.
#SBATCH --time=01:00:00
#SBATCH --signal=B:USR1@60
# Your site may ask for these: take one # away.
##SBATCH --account=project
##SBATCH --partition=main

# Where rankpool is installed.
PATH=$HOME/rankpool/bin:$PATH
# The program's journal: a run that adds nothing to it in ten minutes or more is the last one.
journal=sweep.journal
# So often, at most, the job is put into the queue again.
most_restarts=50

results() { rankpool-journal list "$journal" 2>/dev/null; }
before=$(results)

trap '' USR1  # until there is somebody to hand it on to
trap '' TERM  # scancel tells everybody; without this script the others would have no time to end in order
launch() {
  (
    trap - TERM USR1
    # Your program and its arguments.
    exec rankpool-run ./app
  ) &
  run=$!
  trap 'kill -USR1 "$run"' USR1
  while kill -0 "$run" 2>/dev/null; do wait "$run"; done  # a signal ends `wait`, not the run
  wait "$run"
  status=$?
}
is_running() { [[ $(scontrol show job "$SLURM_JOB_ID") == *JobState=RUNNING* ]]; }
launch
# Slurm 22.05 can't start a job step whose number comes again on a node that has lost its power in such a one, and kills
# what it has started of it. The next has another number.
for _ in 1 2 3; do
  [ "$status" -gt 128 ] && [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && [ "$SECONDS" -lt 60 ] && is_running || break
  echo "$SLURM_JOB_NAME: ended with status $status as soon as it was started again: trying once more" >&2
  launch
done

stop() {
  echo "$SLURM_JOB_NAME: stopped, and not finished: $1" >&2
  exit "$status"
}
# 75: in order, and not finished.
[ "$status" -eq 75 ] || exit "$status"
# After scancel the job is over. One that was preempted, Slurm itself puts into the queue.
is_running || stop 'Slurm has ended the job'
[ "${SLURM_RESTART_COUNT:-0}" -lt "$most_restarts" ] || stop "it was put into the queue again $most_restarts times"
after=$(results)
[ "$SECONDS" -lt 600 ] || [ -z "$after" ] || [ "$after" != "$before" ] ||
  stop "this run has added nothing to $journal; are single tasks longer than the job's --time?"
scontrol requeue "$SLURM_JOB_ID" || stop 'Slurm does not put it into the queue again'
