#!/usr/bin/env bash
# Tasks go to all nodes of a job, evenly, and as many as a node's CPUs are worth.
#
#   FOUR_CPUS=<cluster_four_cpus> ... bash nodes.sh
# shellcheck source-path=SCRIPTDIR source=slurm.sh
. "$(dirname "$0")/slurm.sh"

: "${FOUR_CPUS:?}"
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
# A pretended node has this machine's CPUs, hence the library; a quota may leave less of them. The master has one.
cpus=$(LD_PRELOAD="$FOUR_CPUS" RANKPOOL_LOG=quiet "$SPREAD" 1 1 | sed -n 's/.* wrong, \([0-9]*\) executors$/\1/p')
executors=$((3 * ${cpus:?}))
batch --nodes=4 --ntasks-per-node=1 --exclusive -- "$RUN" env LD_PRELOAD="$FOUR_CPUS" "$SPREAD" 20000 2000
expect_status 0
expect_text "^20000 results, 0 wrong, $executors executors"
cat "$out"
awk -v fair="$((20000 / executors))" '$1 == "n4" { ++found; if ($2 < 0.5 * fair || $2 > 1.8 * fair) bad = 1 }
     END { exit bad || found != 1 }' "$out" || complain 'n4 has not the share of its one executor'

testing 'the same, and n3 is slow'
SLOW_HOST=n3 batch --nodes=4 --ntasks-per-node=1 --exclusive -- "$RUN" env LD_PRELOAD="$FOUR_CPUS" "$SPREAD" 20000 2000
expect_status 0
expect_text "^20000 results, 0 wrong, $executors executors"
cat "$out"
# Dealt out evenly, n3 would have twice as many, and the map would take twice as long.
awk -v most="$((90000 / executors))" '$1 == "n2" { quick = $2 } $1 == "n3" { slow = $2 } /^the map took/ { ms = $4 }
     END { exit slow < 2000 || slow > 4000 || quick < 2 * slow || !ms || ms > most }' "$out" ||
  complain 'the slow node has not the share that its speed is worth, or holds up the map'
finish
