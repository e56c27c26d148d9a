#!/usr/bin/env bash
# compile_time.sh <compiler> [flag...]
# What rankpool costs its users when they compile, without optimisation: an empty main(), the same with the include, and
# with one map besides; the increase is over the figure before. One JSON line per figure: the median of 5 runs after one
# that warms up. The flags say where the headers are: compile_time.sh g++ -Iinclude
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: $0 <compiler> [flag...]" >&2; exit 2; }
compile=("$@" -std=c++20 -O0 -c -o /dev/null)
runs=5

sources=(empty include map)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/empty.cpp" <<'END'
int main() {}
END
cat >"$work/include.cpp" <<'END'
#include <rankpool/rankpool.hpp>
int main() {}
END
cat >"$work/map.cpp" <<'END'
#include <vector>
#include <rankpool/rankpool.hpp>
static double square(double x) { return x * x; }
std::vector<double> squares(rankpool::Pool& pool, const std::vector<double>& inputs) { return pool.map(square, inputs); }
int main() {}
END

microseconds_of() {  # <source>
  local start=${EPOCHREALTIME/[^0-9]/}
  "${compile[@]}" "$work/$1.cpp"
  echo $((${EPOCHREALTIME/[^0-9]/} - start))
}

for source in "${sources[@]}"; do microseconds_of "$source" >/dev/null; done
# In turn, since the machine's mood changes.
for ((run = 0; run < runs; ++run)); do
  for source in "${sources[@]}"; do microseconds_of "$source" >>"$work/$source.times"; done
done

before=0
for source in "${sources[@]}"; do
  median=$(sort -n "$work/$source.times" | sed -n "$((runs / 2 + 1))p")
  awk -v source="$source" -v median="$median" -v before="$before" 'BEGIN {
    printf "{\"peer\": \"rankpool\", \"workload\": \"compile\", \"tasks\": 1, \"seconds\": %.6f, \"per_task_us\": %.4f, ",
           median * 1e-6, median
    printf "\"executors\": 0, \"source\": \"%s\", \"increase_ms\": %.6f}\n", source, (median - before) * 1e-3 }'
  before=$median
done
