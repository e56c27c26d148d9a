// Work that makes more work: the numbers of files in folders, each folder a job, new ones found on the way. The tasks
// take jobs from one queue and put results into another, which the master reads as they come.
#include <cstdint>
#include <iostream>
#include <map>
#include <ranges>
#include <string>
#include <utility>

#include <rankpool/rankpool.hpp>

// A tree of folders for the example: those above the lowest level have three folders each, and each has its depth in
// files.
struct Folder {
  int depth = 0;
};
constexpr int levels = 6;
constexpr int folders_in_each = 3;

using Jobs = rankpool::Queue<Folder>;
using Results = rankpool::Queue<std::pair<int, int>>;  // depth, files

// Serves until the queue is closed. `open` counts the jobs that are in the queue or being done: who ends the last one
// closes the queues.
void work(const Jobs& jobs, const Results& results, const rankpool::Value<int>& open) {
  while (const auto folder = jobs.get()) {
    if (folder->depth < levels) {
      open.fetch_add(folders_in_each);
      for (int i = 0; i < folders_in_each; ++i) jobs.put({folder->depth + 1});
    }
    results.put({folder->depth, folder->depth});
    if (open.fetch_add(-1) == 1) {
      jobs.close();
      results.close();
    }
  }
}

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
    const Jobs jobs = pool.queue<Folder>();
    const Results results = pool.queue<std::pair<int, int>>(100);  // tasks wait when the master lags that far behind
    const auto open = pool.value(1);
    jobs.put({0});

    const auto serve = [=](int) { work(jobs, results, open); };
    auto workers = pool.map_async(serve, std::views::iota(0, pool.processes()));

    std::map<int, int> folders;
    int files = 0;
    while (const auto result = results.get()) {
      ++folders[result->first];
      files += result->second;
    }
    workers.get();
    for (const auto& [depth, count] : folders) std::cout << "depth " << depth << ": " << count << " folders\n";
    std::cout << files << " files\n";
  });
}
