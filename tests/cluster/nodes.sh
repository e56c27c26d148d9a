#!/usr/bin/env bash
# Tasks go to all nodes of a job, evenly.
# shellcheck source-path=SCRIPTDIR source=slurm.sh
. "$(dirname "$0")/slurm.sh"

testing '50,000 tasks on 16 nodes'
begin_cluster 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2 2
batch --nodes=16 --ntasks-per-node=1 --cpus-per-task=2 -- "$RUN" "$SPREAD" 50000 2000
expect_status 0
expect_text '^50000 results, 0 wrong, 31 executors'
cat "$out"
# The first node has the master's CPU. The others may differ by what 2 real CPUs for 31 executors do to them.
awk '$1 == "n1" { home = $2 } $1 ~ /^n[0-9]+$/ && $1 != "n1" { ++nodes; if ($2 < 2400 || $2 > 4200) bad = 1 }
     END { exit bad || nodes != 15 || home < 1100 || home > 2400 }' "$out" ||
  complain 'the tasks are not spread evenly over the nodes'
finish
