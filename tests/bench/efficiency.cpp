// How much of the CPUs' time the tasks get: at a length of 100 us, and at which length it is half.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "bench/bench.hpp"

namespace rankpool::bench {
namespace {

void measure(const Request& request, Pool& pool, const std::string& workload, const std::vector<double>& lengths,
             int chunksize) {
  if (!request.wants(workload)) return;
  const double seconds = seconds_of([&] { pool.map(burn, lengths, {.chunksize = chunksize}); });
  const double total = std::accumulate(lengths.begin(), lengths.end(), 0.0) * 1e-6;
  emit(request, workload, static_cast<long>(lengths.size()), seconds,
       Fields().add("efficiency", total / (seconds * request.cpus_of(pool))).add("executors", pool.processes()));
}

/// Work whose length does not depend on a clock, each step waiting for the one before.
double turn(std::int64_t steps) {
  std::uint64_t state = 1;
  for (std::int64_t i = 0; i < steps; ++i) state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return static_cast<double>(state);
}

constexpr double window = 0.05;  // seconds of work for each executor

/// @returns seconds per step.
double pace_of_turns() {
  constexpr std::int64_t steps = 20'000'000;
  volatile double keep = 0;
  return median_seconds(3, [&] { keep = turn(steps); }) / static_cast<double>(steps);
}

double efficiency_at(Pool& pool, std::int64_t steps, double pace, int chunksize) {
  const double length = static_cast<double>(steps) * pace;
  const int executors = pool.processes();
  const auto tasks = static_cast<std::size_t>(window * executors / std::max(length, 20e-9));
  const std::vector<std::int64_t> inputs(tasks, steps);
  const double seconds = median_seconds(3, [&] { pool.map(fn<turn>, inputs, {.chunksize = chunksize}); });
  return static_cast<double>(tasks) * length / (seconds * executors);
}

/// The minimum effective task granularity of Slaughter et al. (Task Bench, SC20): where half of the time is the tasks'.
void measure_granularity(const Request& request, Pool& pool, const std::string& workload, int chunksize) {
  if (!request.wants(workload)) return;
  const double pace = pace_of_turns();
  double below = 0;
  double efficiency_below = 0;
  for (double steps = 4; steps < 1e6; steps *= 1.25) {
    const double efficiency = efficiency_at(pool, static_cast<std::int64_t>(steps), pace, chunksize);
    const double length = std::floor(steps) * pace;
    if (efficiency >= 0.5) {
      const double part = (0.5 - efficiency_below) / (efficiency - efficiency_below);
      return emit(request, workload, 1, below + part * (length - below));
    }
    below = length;
    efficiency_below = efficiency;
  }
}

}  // namespace

void measure_efficiency(const Request& request, Pool& pool) {
  constexpr std::size_t tasks = 20'000;
  const std::vector<double> even(tasks, 100.0);
  const std::vector<double> uneven = heavy_tailed(tasks, 100.0);
  measure(request, pool, "map_100us", even, 0);
  measure(request, pool, "map_100us_c1", even, 1);
  measure(request, pool, "map_irregular", uneven, 0);
  measure(request, pool, "map_irregular_c1", uneven, 1);
}

void measure_granularity(const Request& request, Pool& pool) {
  measure_granularity(request, pool, "metg", 0);
  measure_granularity(request, pool, "metg_c1", 1);
}

}  // namespace rankpool::bench
