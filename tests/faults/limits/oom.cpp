// Where the kernel must kill for lack of memory, it kills the executor whose task asks for too much: the master has
// more than that one ever gets, and lives.
#include <chrono>
#include <csignal>
#include <cstddef>
#include <iostream>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20U;

/// Until the kernel does not go along any more.
int take_all(int i) {
  constexpr int bad = 3;
  std::vector<std::vector<char>> all;
  while (i == bad) all.emplace_back(megabyte, 'x');
  return i;
}

void play(rankpool::Pool& pool, std::size_t megabytes) {
  const std::vector<char> mine(megabytes * megabyte, 'm');
  constexpr int turns = 10;
  for (int turn = 0; turn < turns; ++turn) {
    const auto outcomes = pool.map_outcomes(take_all, std::views::iota(0, 20), {.chunksize = 4, .max_attempts = 1});
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (outcomes[i].has_value() == (i == 3)) throw std::runtime_error("task " + std::to_string(i) + " is not right");
    }
    try {
      std::rethrow_exception(outcomes[3].exception());
    } catch (const rankpool::WorkerLost& lost) {
      if (lost.signal() != SIGKILL) throw;
      if (turn == 0) std::cout << "lost: " << lost.what() << std::endl;
    }
  }
  std::cout << turns << " executors were killed, the master holds " << mine.size() / megabyte << " MB" << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t megabytes = argc > 1 ? std::stoul(argv[1]) : 0;
  return rankpool::run(argc, argv, [&](rankpool::Pool& pool) { play(pool, megabytes); }, {.processes = 2});
}
