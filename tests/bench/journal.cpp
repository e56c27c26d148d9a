// What it costs to keep the results of tasks of 1 ms: the same map with a journal and without, in turns.
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/bench.hpp"

namespace rankpool::bench {
namespace {

constexpr int runs = 3;

/// For journals, in the folder for temporary files.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("rankpool-bench-" + std::to_string(getpid()))) {
    std::filesystem::create_directory(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string journal(int number) const { return path_ / std::to_string(number); }

 private:
  std::filesystem::path path_;
};

/// One workload, whose runs take turns with the other's.
struct Turns {
  std::string workload;
  int status = EXIT_SUCCESS;
  long tasks = 0;  ///< none where the master isn't
  std::vector<double> seconds = {};

  /// The whole life of a pool: it ends when the journal has everything.
  void take(const std::string& journal) {
    seconds.push_back(seconds_of([&] {
      status |= rankpool::run(0, nullptr, [&](Pool& pool) {
        const std::vector<double> lengths(static_cast<std::size_t>(2000 * pool.processes()), 1000.0);
        pool.map(burn, lengths, {.journal = journal});
        tasks = static_cast<long>(lengths.size());
      });
    }));
  }
};

}  // namespace

int measure_journal(const Request& request) {
  Turns plain{.workload = "map_1ms"};
  Turns kept{.workload = "map_1ms_journal"};
  if (!request.wants(plain.workload) && !request.wants(kept.workload)) return EXIT_SUCCESS;
  const Folder folder;
  for (int run = 0; run < runs; ++run) {
    if (request.wants(plain.workload)) plain.take("");
    if (request.wants(kept.workload)) kept.take(folder.journal(run));
  }
  for (const Turns& turns : {plain, kept}) {
    if (turns.tasks > 0) emit(request, turns.workload, turns.tasks, median(turns.seconds));
  }
  return plain.status | kept.status;
}

}  // namespace rankpool::bench
