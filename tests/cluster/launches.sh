#!/usr/bin/env bash
# A program is started in a job of 4 nodes with 2 CPUs each in all the ways there are, by hand and by rankpool-run.
# shellcheck source-path=SCRIPTDIR source=slurm.sh
. "$(dirname "$0")/slurm.sh"

layout=(--nodes=4 --ntasks-per-node=1 --cpus-per-task=2)
begin_cluster 2 2 2 2
# Three more have two executors each, beside the master's one.
all='on 7 executors'

testing 'sbatch, mpirun'
batch "${layout[@]}" -- mpirun --map-by ppr:1:node --bind-to none "$EP" --class W
expect_verified
expect_text "$all"

testing 'sbatch, srun'
batch "${layout[@]}" -- srun --mpi=pmix --cpu-bind=none "$EP" --class W
expect_verified
expect_text "$all"

testing 'sbatch, srun, a rank per core'
batch --ntasks=8 -- srun --mpi=pmix "$EP" --class W
expect_verified
expect_text "$all"

testing 'salloc, srun'
run salloc "${layout[@]}" srun --mpi=pmix --cpu-bind=none "$EP" --class W
expect_verified
expect_text "$all"

for launcher in srun mpirun; do
  testing "sbatch, rankpool-run by $launcher"
  batch "${layout[@]}" -- "$RUN" --launcher "$launcher" "$EP" --class W
  expect_verified
  expect_text "$all"

  testing "salloc, rankpool-run by $launcher"
  run salloc "${layout[@]}" "$RUN" --launcher "$launcher" "$EP" --class W
  expect_verified
  expect_text "$all"

  testing "rankpool-run by $launcher, two ranks on each of two nodes"
  batch "${layout[@]}" -- "$RUN" --launcher "$launcher" --nodes 2 --ranks-per-node 2 hostname
  expect_status 0
  expect_lines 2 '^n1$'
  expect_lines 2 '^n2$'

  testing "rankpool-run by $launcher: the status of rank 0, while others are killed"
  batch "${layout[@]}" -- "$RUN" --launcher "$launcher" "$SPREAD" 100 100 75
  expect_status 75
  expect_text '^100 results, 0 wrong'
done

testing 'shared objects and random numbers on four nodes'
examples=$(dirname "$EP")
batch "${layout[@]}" -- "$RUN" "$examples/example_shared_counter"
expect_status 0
expect_lines 1 '^with a lock: 40000$'
expect_lines 1 '^with fetch_add: 40000$'
rm -f "$out"
batch "${layout[@]}" -- "$RUN" "$examples/example_monte_carlo_pi"
expect_status 0
RANKPOOL_LOG=quiet "$examples/example_monte_carlo_pi" | cmp -s - "$out" || complain 'the numbers are not those of one node'

testing 'rankpool-run in a job of cores'
batch --ntasks=5 -- "$RUN" hostname
expect_status 0
expect_lines 3 '^n[1-4]$'
[ "$(sort -u "$out" | grep -c '^n')" -eq 3 ] || complain 'they are not one for each node'

testing 'rankpool-run in a job on one node'
batch --nodes=1 --cpus-per-task=2 -- "$RUN" "$EP" --class W
expect_verified
expect_text 'on 2 executors'

testing 'rankpool-run --ranks in a job on one node'
batch --nodes=1 --ntasks=2 -- "$RUN" --ranks 3 "$EP" --class W
expect_verified
expect_text 'on 2 executors'

testing 'rankpool-run in the shell of salloc, one node'
run salloc --nodes=1 --cpus-per-task=2 "$RUN" "$SPREAD" 100 100
expect_status 0
expect_text '^n[1-4] 100$'

# What a user types into the shell that srun gives on the first node. Its variables are those of a rank.
testing 'rankpool-run in the shell of srun --pty'
shell="bash $here/cluster.sh on head srun --nodes=2 --ntasks-per-node=1 --cpus-per-task=2 --pty bash --norc"
echo "$RUN $EP --class W; $RUN --nodes 1 $EP --class S; exit 3" |
  timeout --kill-after=5 60 script --quiet --return --command "$shell" /dev/null >"$out"
status=$?
expect_status 3
expect_text 'class W: .* on 3 executors'
expect_text 'class S: .* on 2 executors'
expect_lines 2 'verification +SUCCESSFUL'

testing 'a rank may use all CPUs that the job has on its node'
if [ "$(nproc)" -ge 2 ]; then
  # A variable that many batch scripts set.
  export SRUN_CPUS_PER_TASK=1
  batch --nodes=2 --ntasks-per-node=1 --cpus-per-task=2 -- srun --ntasks=2 nproc
  expect_lines 2 '^1$'
  rm -f "$out"
  batch --nodes=2 --ntasks-per-node=1 --cpus-per-task=2 -- "$RUN" nproc
  expect_lines 2 '^2$'
  unset SRUN_CPUS_PER_TASK
else
  echo 'this machine has one CPU only: not tried'
fi

# A program that ends in order when it is asked to, and whose rank 0 notes its status, as rankpool's do in a job.
cat >patient <<'END'
#!/bin/bash
rank=${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-0}}
trap '[ "$rank" -gt 0 ] || [ -z "${RANKPOOL_STATUS_FILE:-}" ] || echo 75 >"$RANKPOOL_STATUS_FILE"; exit 75' USR1 TERM
[ "$rank" -gt 0 ] || touch ready
while :; do sleep 0.05; done
END
# asked SIGNAL LAUNCHER: rankpool-run is sent a signal when the program is there.
cat >asked <<'END'
#!/bin/bash
rm -f ready
"$RUN" --launcher "$2" ./patient &
run=$!
until [ -e ready ]; do sleep 0.05; done
kill -s "$1" "$run"
wait "$run"
END
chmod +x patient asked
export RUN
# srun leaves its ranks no time upon SIGHUP, mpirun a second.
for entry in USR1:srun:75 TERM:srun:75 HUP:srun:129 USR1:mpirun:75 HUP:mpirun:75 TERM:none:75; do
  IFS=: read -r signal launcher expected <<<"$entry"
  testing "SIG$signal to rankpool-run, $launcher"
  if [ "$launcher" = none ]; then nodes=1; else nodes=2; fi
  batch --nodes="$nodes" --ntasks-per-node=1 -- ./asked "$signal" "$launcher"
  expect_status "$expected"
done
finish
