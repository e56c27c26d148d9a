#!/usr/bin/env bash
# Tasks go to all nodes of a job, evenly, and as many as a node's CPUs are worth.
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
cluster down

testing 'nodes with 4, 4, 4 and 1 CPUs'
begin_cluster 4 4 4 1
# A pretended node has this machine's CPUs; the job's count is what tells them apart. The master has one of the first.
cpus=$(nproc)
[ "$cpus" -le 4 ] || cpus=4
executors=$((3 * cpus))
batch --nodes=4 --ntasks-per-node=1 --exclusive -- "$RUN" "$SPREAD" 20000 2000
expect_status 0
expect_text "^20000 results, 0 wrong, $executors executors"
cat "$out"
awk -v fair="$((20000 / executors))" '$1 == "n4" { ++found; if ($2 < 0.5 * fair || $2 > 1.8 * fair) bad = 1 }
     END { exit bad || found != 1 }' "$out" || complain 'n4 has not the share of its one executor'
finish
