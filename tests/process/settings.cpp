// Says what came of the options and of the environment.
//
//   settings [PROCESSES [DIRECTORY]]
//
// With a directory the tasks meet there, one on each executor at the same time.
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using namespace std::chrono_literals;

std::string executor() {
  return "rank " + std::to_string(rankpool::this_task::rank()) + " slot " + std::to_string(rankpool::this_task::slot());
}

std::string meet(const std::string& directory, int processes) {
  std::ofstream(directory + "/task." + std::to_string(rankpool::this_task::index()));
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  using std::filesystem::directory_iterator;
  while (std::distance(directory_iterator(directory), directory_iterator()) < processes) {
    if (std::chrono::steady_clock::now() > deadline) return "waits in vain";
    std::this_thread::sleep_for(1ms);
  }
  return executor();
}

int pid(int /*task*/) { return getpid(); }

int fail(int task) {
  if (task == 3) throw std::domain_error("task 3 fails");
  return task;
}

void report(rankpool::Pool& pool, const std::string& directory) {
  std::cout << pool.processes() << " executors\n";
  std::size_t here = 0;
  for (const int task : pool.map(pid, std::views::iota(0, 100))) here += task == getpid() ? 1 : 0;
  std::cout << here << " of 100 tasks in the master's process\n";
  try {
    pool.map(fail, std::views::iota(0, 10));
  } catch (const std::domain_error& error) {
    std::cout << "caught: " << error.what() << '\n';
  }
  try {
    pool.map(fail, std::views::iota(0, 10), {.chunksize = -2});
  } catch (const std::invalid_argument& error) {
    std::cout << "refused: " << error.what() << '\n';
  }
  if (directory.empty()) return;
  const std::vector<std::string> directories(static_cast<std::size_t>(pool.processes()), directory);
  const std::vector<int> numbers(directories.size(), pool.processes());
  for (const std::string& executor : pool.map(meet, directories, numbers, {.chunksize = 1})) {
    std::cout << "executor: " << executor << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int processes = argc > 1 ? std::stoi(argv[1]) : 0;
  const std::string directory = argc > 2 ? argv[2] : "";
  return rankpool::run(argc, argv, [&](rankpool::Pool& pool) { report(pool, directory); }, {.processes = processes});
}
