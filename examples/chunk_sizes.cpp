// How many tasks travel together? Short tasks want large chunks (each costs a dispatch), long ones small chunks (so
// that all executors end together). By default the pool measures and chooses; this table shows what a choice by hand
// would gain or lose.
#include <chrono>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <ranges>
#include <stdexcept>
#include <vector>

#include <rankpool/rankpool.hpp>

constexpr int tasks = 100'000;

// About a microsecond of work.
double work(int task) {
  double x = task;
  for (int i = 0; i < 200; ++i) x = std::sqrt(x + i);
  return x;
}

double seconds(rankpool::Pool& pool, rankpool::MapOptions options) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<double> results = pool.map(work, std::views::iota(0, tasks), options);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  if (results.back() != work(tasks - 1)) throw std::logic_error("a wrong result");
  return elapsed.count();
}

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    std::cout << tasks << " tasks on " << pool.processes() << " executors\n\n"
              << "chunksize        ms   us/task\n"
              << std::fixed;
    const auto print = [](const auto& chunksize, double elapsed) {
      std::cout << std::setw(9) << chunksize << std::setw(10) << std::setprecision(2) << elapsed * 1e3 << std::setw(10)
                << std::setprecision(3) << elapsed * 1e6 / tasks << std::endl;
    };
    for (const int chunksize : {1, 10, 100, 1'000, 10'000, tasks}) {
      print(chunksize, seconds(pool, {.chunksize = chunksize}));
    }
    print("automatic", seconds(pool, {}));
  });
}
