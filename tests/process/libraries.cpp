// Calls a function of a shared library in tasks.
#include <algorithm>
#include <iostream>
#include <ranges>

#include <rankpool/rankpool.hpp>

int build_of_library(int task);

namespace {

int in_own_function(int task) { return build_of_library(task); }

void report(rankpool::Pool& pool) {
  try {
    const auto builds = pool.map(build_of_library, std::views::iota(0, 100), {.chunksize = 1});
    std::cout << "greatest " << std::ranges::max(builds) << '\n';
  } catch (const rankpool::BinaryMismatch& error) {
    std::cout << "caught: " << error.what() << '\n';
  }
  // The function is the program's own, and what it calls is not for the library to know.
  std::cout << "own: " << pool.apply(in_own_function, 5) % 1000 << '\n';
}

}  // namespace

int main(int argc, char** argv) { return rankpool::run(argc, argv, report); }
