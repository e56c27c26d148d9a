// A program that was started with some of stdin, stdout and stderr closed. Its status tells whether all went well.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <ranges>
#include <stdexcept>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

bool has_standard_descriptors() {
  return fcntl(STDIN_FILENO, F_GETFD) >= 0 && fcntl(STDOUT_FILENO, F_GETFD) >= 0 && fcntl(STDERR_FILENO, F_GETFD) >= 0;
}

int print_square(int x) {
  if (!has_standard_descriptors()) throw std::runtime_error("the task has a closed descriptor");
  std::printf("task %d reads %d\n", x, std::getchar());
  std::cerr << "task " << x << '\n';
  return x * x;
}

int die(int x) {
  if (x == 1) std::raise(SIGKILL);
  return x;
}

bool works(rankpool::Pool& pool) {
  const auto squares = pool.map(print_square, std::views::iota(0, 100), {.chunksize = 1});
  for (int i = 0; i < 100; ++i) {
    if (squares[static_cast<std::size_t>(i)] != i * i) return false;
  }
  return true;
}

int check(rankpool::Pool& pool) {
  std::cout << "the master prints" << std::endl;
  std::cerr << "the master reads " << std::getchar() << std::endl;
  if (!has_standard_descriptors()) return 10;
  if (!works(pool)) return 11;
  const auto outcomes = pool.map_outcomes(die, {0, 1, 2}, {.chunksize = 1, .max_attempts = 1});
  if (!outcomes[0] || outcomes[1] || !outcomes[2]) return 12;
  return works(pool) ? 0 : 13;
}

}  // namespace

int main(int argc, char** argv) {
  const int status = rankpool::run(argc, argv, check, {.processes = 2});
  return status != 0 ? status : rankpool::run(argc, argv, check, {.processes = 3});
}
