// Where the tasks of a map run: prints so many "host tasks", whether each result is right, and how long it took. With a
// status, that is what it ends with, while its other ranks have not ended yet. On the host SLOW_HOST a task takes three
// times as long.
//
//   spread TASKS MICROSECONDS [STATUS [JOURNAL]]
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>
#include <ranges>
#include <string>
#include <thread>
#include <utility>

#include <rankpool/rankpool.hpp>

namespace {

std::pair<int, std::string> work(int microseconds, int i) {
  std::string host = rankpool::this_task::host();
  const char* slow_host = std::getenv("SLOW_HOST");
  const bool is_slow = slow_host != nullptr && host == slow_host;
  std::this_thread::sleep_for(std::chrono::microseconds(is_slow ? 3 * microseconds : microseconds));
  return {i * 3, std::move(host)};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 64;
  const int wanted = argc > 3 ? std::atoi(argv[3]) : 0;
  const int status = rankpool::run(argc, argv, [argc, argv, wanted](rankpool::Pool& pool) {
    const auto tasks = std::views::iota(0, std::atoi(argv[1]));
    const auto begun = std::chrono::steady_clock::now();
    const auto results =
        pool.map(rankpool::bind(work, std::atoi(argv[2])), tasks, {.journal = argc > 4 ? argv[4] : ""});
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begun;
    std::map<std::string, int> hosts;
    int wrong = 0;
    for (int i = 0; const auto& [value, host] : results) {
      ++hosts[host];
      if (value != 3 * i++) ++wrong;
    }
    for (const auto& [host, count] : hosts) std::cout << host << ' ' << count << '\n';
    std::cout << results.size() << " results, " << wrong << " wrong, " << pool.processes() << " executors\n";
    std::cout << "the map took " << std::lround(time.count() * 1000) << " ms\n";
    return wrong == 0 ? wanted : 1;
  });
  if (status != wanted) std::this_thread::sleep_for(std::chrono::seconds(3));
  return status;
}
