// The ways in which a program with a pool ends.
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using namespace std::chrono_literals;

void leave_mark(const std::string& directory, const std::string& kind) {
  std::ofstream(directory + "/" + kind + "." + std::to_string(getpid()));
}

std::ptrdiff_t marks(const std::string& directory) {
  return std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator());
}

int twice(int x) { return 2 * x; }

void last_long(const std::string& directory) {
  leave_mark(directory, "task");
  std::this_thread::sleep_for(100s);
}

/// Every executor has such a task, and others wait.
void map_long_tasks(rankpool::Pool& pool, const std::string& directory) {
  const std::vector<std::string> inputs(static_cast<std::size_t>(3 * pool.processes()), directory);
  pool.map(last_long, inputs, {.chunksize = 1});
}

int exit_during_a_map(rankpool::Pool& pool, const std::string& directory) {
  std::thread([&pool, &directory] {
    try {
      map_long_tasks(pool, directory);
    } catch (const std::exception&) {  // the end of the program cancels it
    }
    for (;;) std::this_thread::sleep_for(1h);
  }).detach();
  while (marks(directory) < pool.processes()) std::this_thread::sleep_for(10ms);
  std::exit(7);
}

int end(rankpool::Pool& pool, const std::string& how, const std::string& directory) {
  pool.map(twice, {1, 2, 3, 4});
  if (how == "throw") throw std::runtime_error("the master gives up");
  if (how == "throw_int") throw 5;  // NOLINT(hicpp-exception-baseclass): that is the point
  if (how == "return") return 7;
  if (how == "exit") std::exit(7);
  if (how == "exit_during_a_map") return exit_during_a_map(pool, directory);
  if (how == "last") map_long_tasks(pool, directory);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string how = argc > 1 ? argv[1] : "";
  const std::string directory = argc > 2 ? argv[2] : "";
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  if (how == "last" && rank != nullptr) leave_mark(directory, std::string("rank") + rank);
  return rankpool::run(argc, argv, [&](rankpool::Pool& pool) { return end(pool, how, directory); });
}
