// Pi by throwing darts, with each task's own random numbers: the same digits for any number of executors and ranks.
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <random>
#include <ranges>
#include <vector>

#include <rankpool/rankpool.hpp>

constexpr std::int64_t darts_per_task = 100'000;

// How many of the darts land in the quarter circle.
std::int64_t throw_darts(int) {
  std::uniform_real_distribution<double> uniform;
  rankpool::TaskRng& random = rankpool::this_task::rng();
  std::int64_t hits = 0;
  for (std::int64_t dart = 0; dart < darts_per_task; ++dart) {
    const double x = uniform(random);
    const double y = uniform(random);
    hits += x * x + y * y < 1 ? 1 : 0;
  }
  return hits;
}

int main(int argc, char** argv) {
  const auto master = [](rankpool::Pool& pool) {
    constexpr int tasks = 200;
    const std::vector<std::int64_t> hits = pool.map(throw_darts, std::views::iota(0, tasks));
    const auto all = static_cast<double>(std::accumulate(hits.begin(), hits.end(), std::int64_t{0}));
    std::cout << std::setprecision(15) << "pi = " << 4 * all / (tasks * darts_per_task) << '\n';
  };
  return rankpool::run(argc, argv, master, {.seed = 2718});
}
