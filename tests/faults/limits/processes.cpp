// A pool whose user may have no more processes: the limits of the processes that fork its executors are lowered and
// lifted.
//
//   processes DIRECTORY share                how many executors share the work
//   processes DIRECTORY start RANK...        those of these ranks can't be forked at first, and then can
//   processes DIRECTORY zygote RANK          the process that forks them can't be forked
//   processes DIRECTORY replace              one that dies can't be forked anew, and then can
//   processes DIRECTORY none                 all die, and none can be forked anew
//
// DIRECTORY is empty; the ranks leave notes there.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <numeric>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/rankpool.hpp>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr rlim_t none = 1;

std::string rank_of_this_process() {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  return rank == nullptr ? "0" : rank;
}

pid_t only_child() {
  std::ifstream children("/proc/thread-self/children");
  pid_t child = 0;
  if (!(children >> child)) throw std::runtime_error("there is no zygote");
  return child;
}

void limit_processes(pid_t zygote, rlim_t processes) {
  rlimit limit{};
  prlimit(zygote, RLIMIT_NPROC, nullptr, &limit);
  limit.rlim_cur = std::min(processes, limit.rlim_max);
  if (prlimit(zygote, RLIMIT_NPROC, &limit, nullptr) != 0) throw std::runtime_error("prlimit failed");
}

void limit_all(const std::string& directory, rlim_t processes) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    pid_t zygote = 0;
    std::ifstream(entry.path()) >> zygote;
    limit_processes(zygote, processes);
  }
}

int pid_after_a_while(int /*task*/) {
  std::this_thread::sleep_for(20ms);
  return getpid();
}

int executors_that_share(rankpool::Pool& pool) {
  constexpr int turns = 8;
  const auto pids = pool.map(pid_after_a_while, std::views::iota(0, turns * pool.processes()), {.chunksize = 1});
  return static_cast<int>(std::set(pids.begin(), pids.end()).size());
}

void await(const std::string& what, const std::function<bool()>& holds) {
  for (const auto deadline = Clock::now() + 20s; !holds();) {
    if (Clock::now() > deadline) throw std::runtime_error("not within 20 s: " + what);
  }
  std::cout << what << std::endl;
}

void expect_right(rankpool::Pool& pool) {
  const auto results = pool.map([](int i) { return i + 1; }, std::views::iota(0, 1000));
  for (int i = 0; i < 1000; ++i) {
    if (results.at(static_cast<std::size_t>(i)) != i + 1) throw std::runtime_error("a result is wrong");
  }
}

int die_once(int task) {
  if (task == 7 && rankpool::this_task::attempt() == 1) _exit(3);
  std::this_thread::sleep_for(1ms);
  return task;
}

void replace(rankpool::Pool& pool, const std::string& directory) {
  const int all = pool.processes();
  await("all share", [&] { return executors_that_share(pool) == all; });
  limit_all(directory, none);
  std::vector<int> tasks(300);
  std::iota(tasks.begin(), tasks.end(), 0);
  if (pool.map(die_once, tasks, {.chunksize = 5}) != tasks) throw std::runtime_error("a result is wrong");
  await("all but one share", [&] { return executors_that_share(pool) == all - 1; });
  limit_all(directory, RLIM_INFINITY);
  await("all share again", [&] { return executors_that_share(pool) == all; });
}

void lose_all(rankpool::Pool& pool, const std::string& directory) {
  expect_right(pool);
  limit_all(directory, none);
  const auto start = Clock::now();
  try {
    (void)pool.map_outcomes([](int) { _exit(3); }, std::views::iota(0, 1000), {.chunksize = 1, .max_attempts = 100});
    throw std::logic_error("no executor is left, and the pool goes on");
  } catch (const rankpool::BrokenPool& broken) {
    const std::chrono::duration<double> taken = Clock::now() - start;
    std::cout << "broken after " << taken.count() << " s: " << broken.what() << std::endl;
  }
}

void play(rankpool::Pool& pool, const std::string& directory, const std::string& what) {
  if (what == "replace") return replace(pool, directory);
  if (what == "none") return lose_all(pool, directory);
  const int all = pool.processes();
  expect_right(pool);
  // Who can't be forked is missed, and said so, by then.
  for (const auto end = Clock::now() + 500ms; Clock::now() < end;) expect_right(pool);
  std::cout << executors_that_share(pool) << " executors share" << std::endl;
  if (what == "share") return;
  limit_all(directory, RLIM_INFINITY);
  await("all share", [&] { return executors_that_share(pool) == all; });
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string& directory = arguments.at(0);
  const std::string& what = arguments.at(1);
  const std::string rank = rank_of_this_process();
  const bool limited = std::ranges::count(arguments.begin() + 2, arguments.end(), rank) != 0;
  if (what == "zygote") {
    if (limited) limit_processes(getpid(), none);
  } else {
    rankpool::prefork();
    const pid_t zygote = only_child();
    std::ofstream(directory + "/zygote." + rank) << zygote << std::flush;
    if (limited) limit_processes(zygote, none);
  }
  return rankpool::run(argc, argv, [&](rankpool::Pool& pool) { play(pool, directory, what); });
}
