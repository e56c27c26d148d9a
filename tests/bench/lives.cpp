// Pools made and ended: in one process, and as whole programs.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <thread>

#include "bench/bench.hpp"

namespace rankpool::bench {
namespace {

void do_nothing(Pool&) {}
void get_one_result(Pool& pool) { pool.apply(square, 2.0); }

struct Life {
  const char* argument;
  const char* workload;
  void (*work)(Pool&);  ///< null: no pool
};
constexpr std::array<Life, 3> lives{{{"--empty-life", "startup_cmd_none", nullptr},
                                     {"--pool-life", "startup_cmd_pool", do_nothing},
                                     {"--first-result-life", "startup_cmd", get_one_result}}};

double seconds_of_life(const Life& life) {
  return seconds_of([&] {
    std::string name = "bench";
    std::string argument = life.argument;
    std::array<char*, 3> arguments{name.data(), argument.data(), nullptr};
    pid_t pid = 0;
    int status = 0;
    if (posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, arguments.data(), environ) != 0 ||
        waitpid(pid, &status, 0) != pid || status != 0) {
      throw std::runtime_error("a life did not end well: " + argument);
    }
  });
}

/// Says in a file that it runs.
void never_end(const std::string& path) {
  for (int signal = 1; signal < NSIG; ++signal) std::signal(signal, SIG_IGN);
  std::ofstream(path, std::ios::app) << '.' << std::flush;
  for (volatile std::uint64_t turns = 0;;) turns = turns + 1;
}

double seconds_of_terminate(Pool& pool) {
  const std::string path = "/tmp/bench_terminate_" + std::to_string(getpid());
  const auto executors = static_cast<std::size_t>(pool.processes());
  const auto call = pool.map_async(never_end, std::vector(executors, path), {.chunksize = 1});
  std::error_code not_yet;
  while (std::filesystem::file_size(path, not_yet) != executors) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const double seconds = seconds_of([&] { pool.terminate(); });
  std::filesystem::remove(path);
  return seconds;
}

int measure_start(const Request& request, const char* workload, void (*work)(Pool&), int argc, char** argv) {
  if (!request.wants(workload)) return EXIT_SUCCESS;
  int status = EXIT_SUCCESS;
  const double seconds = median_seconds(21, [&] { status |= run(argc, argv, work); });
  status |= run(argc, argv, [&](Pool&) { emit(request, workload, 1, seconds); });  // on rank 0
  return status;
}

}  // namespace

bool live(int argc, char** argv, int& status) {
  for (const Life& life : lives) {
    if (argc != 2 || std::string_view(argv[1]) != life.argument) continue;
    status = life.work == nullptr ? EXIT_SUCCESS : run(argc, argv, life.work);
    return true;
  }
  return false;
}

int measure_starts(const Request& request, int argc, char** argv) {
  return measure_start(request, "startup", do_nothing, argc, argv) |
         measure_start(request, "startup_first", get_one_result, argc, argv);
}

/// In turn, since the machine's mood changes.
int measure_lives(const Request& request) {
  if (!request.wants("startup_cmd")) return EXIT_SUCCESS;
  constexpr int rounds = 41;
  std::array<std::vector<double>, lives.size()> seconds;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < lives.size(); ++i) seconds[i].push_back(seconds_of_life(lives[i]));
  }
  const double nothing = median(seconds[0]);
  for (std::size_t i = 1; i < lives.size(); ++i) {
    const double whole = median(seconds[i]);
    emit(request, lives[i].workload, 1, whole, Fields().add("increase_ms", (whole - nothing) * 1e3));
  }
  return EXIT_SUCCESS;
}

/// Each time a pool of its own, on all ranks alike, while every executor runs a task that ignores signals.
int measure_terminate(const Request& request, int argc, char** argv) {
  if (!request.wants("terminate")) return EXIT_SUCCESS;
  constexpr std::size_t runs = 11;
  std::vector<double> times;
  int status = EXIT_SUCCESS;
  for (std::size_t i = 0; i < runs && status == EXIT_SUCCESS; ++i) {
    status = run(argc, argv, [&](Pool& pool) {
      times.push_back(seconds_of_terminate(pool));
      if (times.size() != runs) return;
      emit(request, "terminate", 1, median(times), Fields().add("worst_ms", *std::ranges::max_element(times) * 1e3));
    });
  }
  return status;
}

}  // namespace rankpool::bench
