#!/bin/sh
# Where executors are, and the warnings when there are too many of them or too few CPUs.
. "$(dirname "$0")/harness.sh"

cpus=$(nproc)
many=$((4 * cpus))

# executors_of RANK: how many different ones have met.
executors_of() {
  grep -E "^executor: rank $1 slot" "$out" | sort -u | wc -l
}

for way in $WAYS; do
  mkdir "$work/marks"
  RANKPOOL_PROCESSES=$many run "$way" 0 "$work/marks"
  rm -r "$work/marks"
  expect_status 0
  expect_lines 1 "^$many executors$"
  expect_lines 1 "^rankpool: $many executors will share CPUs"
  [ "$(executors_of '[0-9]*')" -eq "$many" ] || complain "$(executors_of '[0-9]*') executors met, not $many"
  [ "$way" = alone ] || {
    difference=$(($(executors_of 1) - $(executors_of 2)))
    [ "${difference#-}" -le 1 ] || complain "rank 1 has $difference executors more than rank 2"
  }
  expect_gone
done

what='few CPUs of many'
run_command env SLURM_CPUS_ON_NODE=$((2 * cpus + 2)) "$app"
expect_status 0
expect_lines 1 "^rankpool: .*may use only $cpus of its $((2 * cpus + 2)) CPUs.*bind-to none"

what='half of the CPUs'
run_command env SLURM_CPUS_ON_NODE=$((2 * cpus)) "$app"
expect_status 0
expect_lines 0 'may use only'
finish
