// run() several times in one program, with different options.
#include <iostream>
#include <numeric>
#include <ranges>
#include <stdexcept>

#include <rankpool/rankpool.hpp>

namespace {

long cube(long x) { return x * x * x; }

void report(rankpool::Pool& pool) {
  const auto cubes = pool.map(cube, std::views::iota(0L, 100L));
  std::cout << pool.name() << ": " << pool.processes() << " executors, "
            << std::accumulate(cubes.begin(), cubes.end(), 0L) << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  int status = rankpool::run(argc, argv, report, {.name = "first", .processes = 2});
  status += rankpool::run(argc, argv, report, {.name = "second", .processes = 1});
  // One that fails keeps nobody from the next.
  (void)rankpool::run(argc, argv, [](rankpool::Pool&) { throw std::runtime_error("the third gives up"); },
                      {.name = "third"});
  status += rankpool::run(argc, argv, report, {.name = "fourth", .processes = 3});
  std::cout << "after run" << std::endl;
  return status;
}
