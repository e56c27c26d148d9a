#!/usr/bin/env bash
# bench.sh [--peers FOLDER] [--runs N] [--out FOLDER] [WORKLOAD[,WORKLOAD]...]
# bench.sh --scale [--with 'NAME=COMMAND']... [--runs N] [--out FOLDER]
# Measures rankpool in turns as ./app, under mpirun and across pretended nodes, N times each (9), and prints the medians
# beside what is wanted of them. The workloads are those of tests/bench/workloads.cpp; none: all that are judged.
#
# --peers   a folder whose run.sh takes WORKLOADS PEERS RUNS, measures other pools in the same turns as what PEERS_EXTRA
#           lists, a line NAME<TAB>WORKLOADS<TAB>COMMAND each, and leaves a line of JSON per figure in PEERS_OUT. The
#           table then has the ratios.
# --out     where the figures stay, as JSON lines: results.jsonl (build/bench)
# --scale   runs 1 to 16 executors and 2 to 8 ranks instead, and draws the curves: scale.svg; those of other pools, too,
#           whose commands --with gives ({N} executors, {RANKS} one more, {W} the workload)
#
# Nothing else should run on the machine. With the peers it takes 20 minutes.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

peers=
runs=9
out=build/bench
workloads=
scale=
others=()
while [ $# -gt 0 ]; do
  case $1 in
    --peers) peers=$(cd "$2" && pwd); shift ;;
    --runs) runs=$2; shift ;;
    --out) out=$2; shift ;;
    --scale) scale=yes ;;
    --with) others+=(--with "$2"); shift ;;
    -*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 64 ;;
    *) workloads+=${workloads:+,}$1 ;;
  esac
  shift
done

mkdir -p "$out"
out=$(cd "$out" && pwd)
results=$out/results.jsonl
jobs=$out/jobs.tsv

bash scripts/setup.sh build test ${scale:+bench}
cmake --preset bench >"$out/configure.log"
cmake --build --preset bench --target bench_workloads | tail -n 1

python=/usr/bin/python3  # the system's own, for which the packages are that set-up installs
program=$root/build/bench/tests/bench/bench_workloads
mpirun='mpirun --oversubscribe --bind-to none'
tiny=map_tiny,map_tiny_fn,map_tiny_lambda,map_unchunked
even=map_100us,map_irregular
single=map_100us_c1,map_irregular_c1
journal=map_1ms,map_1ms_journal
payload=payload_1MB,payload_1MB_reuse
shared=shared_add,shared_lock,shared_lock_alone,shared_queue

job() {  # <peer> <workloads> <command before the program> [option of the program]...
  printf '%s\t%s\t%s %s --peer %s %s {W}\n' "$1" "$2" "$3" "$program" "$1" "${*:4}"
}

all_jobs() {
  local group
  for group in "$tiny" apply_latency "$even" "$single" "$journal" "$payload" startup,startup_first startup_cmd idle_cpu metg metg_c1; do
    job rankpool "$group" ''
  done
  for group in "$tiny" "$even" "$single" "$journal" "$payload" idle_cpu; do
    job rankpool_mpirun "$group" "$mpirun -n 3"
  done
  job rankpool_mpirun apply_latency "$mpirun -n 2"
  printf 'rankpool_mpirun\tstartup_cmd\tWALL1 %s -n 3 %s --first-result-life\n' "$mpirun" "$program"
  for group in "$tiny" apply_latency "$even" "$single" "$payload"; do
    job rankpool_nodes "$group" "RANKPOOL_TEST_NODES=3 $mpirun -n 3"
  done
  for group in apply_latency "$shared"; do
    job rankpool_2_nodes "$group" "RANKPOOL_TEST_NODES=2 $mpirun -n 2"
  done
  job rankpool "$shared" ''
  job rankpool_mpirun "$shared" "$mpirun -n 3"
  printf 'multiprocessing\t%s\t%s %s/tests/bench/sharing.py\n' "$shared" "$python" "$root"
  for group in "$even" "$single"; do
    job rankpool_8_on_2 "$group" 'RANKPOOL_PROCESSES=8 taskset -c 0,1' --cpus 2
  done
}

wants() { [ -z "$workloads" ] || grep -qx -f <(tr , '\n' <<<"$workloads") <(tr , '\n' <<<"$1"); }

measure_alone() {
  local name group command run
  : >"$results"
  for run in $(seq "$runs"); do
    while IFS=$'\t' read -r -u 3 name group command; do
      wants "$group" || continue
      case $command in WALL*) continue ;; esac  # a figure of the peers' driver
      [ -z "$workloads" ] || group=$(comm -12 <(tr , '\n' <<<"$workloads" | sort) <(tr , '\n' <<<"$group" | sort) | paste -sd,)
      timeout 300 bash -c "${command//\{W\}/$group}" </dev/null | tee -a "$results" ||
        echo "bench: run $run of $name $group FAILED" >&2
    done 3<"$jobs"
  done
}

measure_with_peers() {
  PEERS_EXTRA=$jobs PEERS_OUT=$results PEERS_FULL=1 PEERS_BUDGET=${PEERS_BUDGET:-1800} PEERS_QUIET_WAIT=2 \
    bash "$peers/run.sh" "${workloads:-all}" \
    rankpool,raw_d1,raw_d2,raw_d16,raw_n2_1worker,raw_mpi_n3,boost_mpi_d2,omp_dynamic1,tbb,memcpy,mp.Pool,mpi4py.MPIPool,multiprocessing \
    "$runs" >"$out/peers.log"
}

if [ -n "$scale" ]; then
  exec "$python" scripts/bench_scale.py --program "$program" --runs "$runs" --picture "$out/scale.svg" "${others[@]}"
fi
all_jobs >"$jobs"
if [ -n "$peers" ]; then measure_with_peers; else measure_alone; fi
"$python" scripts/bench_table.py "$results"
echo
"$python" scripts/bench_table.py --overview "$results"
