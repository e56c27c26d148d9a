// OpenMP inside tasks: the threads a task may have, its results, and no hang.
#include <omp.h>

#include <cmath>
#include <iostream>
#include <ranges>
#include <utility>

#include <rankpool/rankpool.hpp>

namespace {

/// @returns a sum made by a team of threads, with the threads it had and those it might have had.
std::pair<double, std::pair<int, int>> sum_of_squares(int n) {
  double sum = 0;
  int threads = 0;
#pragma omp parallel reduction(+ : sum)
  {
#pragma omp single
    threads = omp_get_num_threads();
#pragma omp for
    for (int i = 1; i <= n; ++i) sum += static_cast<double>(i) * i;
  }
  return {sum, {threads, omp_get_max_threads()}};
}

double exact(double n) { return n * (n + 1) * (2 * n + 1) / 6; }

int check(rankpool::Pool& pool) {
  int wrong = 0;
  const auto inputs = std::views::iota(1, 201);
  const auto results = pool.map(sum_of_squares, inputs);
  for (int i = 0; i < static_cast<int>(results.size()); ++i) {
    const auto& [sum, threads] = results[static_cast<std::size_t>(i)];
    if (sum != exact(i + 1) || threads != std::pair(2, 2)) ++wrong;
  }
  std::cout << pool.processes() << " executors, " << results.size() << " tasks, " << wrong << " wrong\n";
  return wrong == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) { return rankpool::run(argc, argv, check, {.processes = 2, .threads_per_task = 2}); }
