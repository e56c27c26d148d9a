#!/bin/sh
# smoke.sh <program> <workload>...
# Each workload prints at least one figure, in the form that scripts/bench_table.py reads.
set -u
program=$1
shift
failed=0
for workload; do
  if ! out=$("$program" --peer smoke "$workload"); then
    echo "$workload ended with an error"
    failed=1
  elif ! printf '%s\n' "$out" | grep -qE '^\{"peer": "smoke", "workload": "[a-z_A-Z0-9]+", "tasks": [0-9]+, "seconds": [0-9.e-]+, "per_task_us": '; then
    printf '%s printed no figure:\n%s\n' "$workload" "$out"
    failed=1
  fi
done
exit "$failed"
