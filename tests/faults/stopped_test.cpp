// A process of the pool is stopped for seconds and goes on then, as in a debugger, in a frozen container, or on a
// machine that swaps: what it does is late, but it is not dead, and its tasks are not lost.
//
//   STOP_SECONDS=5 ./stopped_test
#include "pool/pool_test.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <iostream>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include "faults/family.hpp"
#include "faults/ledger.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::MapOptions;
using rankpool::WorkerLost;

std::chrono::seconds stop_time() {
  const char* text = std::getenv("STOP_SECONDS");
  return std::chrono::seconds(text != nullptr ? std::stoi(text) : 2);
}

std::uint32_t work(const std::string& ledger, std::uint64_t index) {
  ledger_at(ledger).note_start(index);
  std::this_thread::sleep_for(2ms);
  return rankpool::this_task::attempt();
}

/// The children are stopped before `during` runs, and go on after the time is over.
void stop_for_a_while(
    const Pids& pids, const std::function<void()>& during = [] {}) {
  const auto end = std::chrono::steady_clock::now() + stop_time();
  for (const int pid : pids) EXPECT_EQ(::kill(pid, SIGSTOP), 0);
  for (const int pid : pids) EXPECT_TRUE(eventually([pid] { return state_of(pid) == 'T'; })) << pid;
  during();
  std::this_thread::sleep_until(end);
  for (const int pid : pids) EXPECT_EQ(state_of(pid), 'T') << "somebody has let it go on";
  for (const int pid : pids) EXPECT_EQ(::kill(pid, SIGCONT), 0);
}

/// What became of a map's tasks.
struct Tally {
  std::uint64_t starts = 0;
  std::uint64_t second_attempts = 0;
};

/// Maps tasks for half of the time that something is stopped, which `stop` does once some of them have ended.
Tally map_while(const MapOptions& options, const std::function<void()>& stop) {
  const auto tasks = static_cast<std::uint64_t>(stop_time() / 4ms) * static_cast<std::uint64_t>(pool().processes());
  Ledger ledger(tasks);
  std::vector<std::uint64_t> indices(tasks);
  std::iota(indices.begin(), indices.end(), 0);
  std::jthread stopper([&] {
    EXPECT_TRUE(eventually([&] { return ledger[10].starts != 0; }));
    stop();
  });
  const auto start = std::chrono::steady_clock::now();
  const auto attempts = pool().map(rankpool::bind(work, ledger.path()), indices, options);
  stopper.join();
  EXPECT_GE(std::chrono::steady_clock::now() - start, stop_time());
  Tally tally;
  for (std::uint64_t i = 0; i < tasks; ++i) {
    tally.starts += ledger[i].starts;
    tally.second_attempts += attempts[i] - 1;
    EXPECT_GE(ledger[i].starts, 1U) << i;
    EXPECT_LE(ledger[i].starts, attempts[i]) << i;
  }
  std::cout << testing::UnitTest::GetInstance()->current_test_info()->name() << ": " << tasks << " tasks, "
            << tally.starts << " started, " << tally.second_attempts << " tried again" << std::endl;
  return tally;
}

void expect_each_once(const Tally& tally) { EXPECT_EQ(tally.second_attempts, 0U); }

TEST(Stopped, executor_is_late_with_its_tasks_and_loses_none) {
  expect_each_once(map_while({.max_attempts = 1}, [] { stop_for_a_while({executors().back()}); }));
}

TEST(Stopped, executors_are_late_with_their_tasks_and_lose_none) {
  expect_each_once(map_while({.max_attempts = 1}, [] { stop_for_a_while(executors()); }));
}

// Whoever is killed meanwhile is replaced later. Its task is charged, not called late.
TEST(Stopped, zygotes_replace_the_dead_later) {
  const auto kill_one = [] { ::kill(executors().front(), SIGKILL); };
  const Tally tally =
      map_while({.max_attempts = 2, .task_timeout = 500ms}, [&] { stop_for_a_while(zygotes(), kill_one); });
  EXPECT_LE(tally.second_attempts, 1U);
}

TEST(Stopped, worker_ranks_make_no_task_late_or_lost) {
  Pids workers = ranks();
  std::erase(workers, getpid());
  if (workers.empty()) return;  // the run as ./program has none
  expect_each_once(map_while({.max_attempts = 1, .task_timeout = 1s}, [&] { stop_for_a_while(workers); }));
}

TEST(Stopped, worker_rank_whose_executor_dies_gives_its_task_another_attempt) {
  Pids workers = ranks();
  std::erase(workers, getpid());
  if (workers.empty()) return;  // the run as ./program has none
  const auto kill_one = [&] { ::kill(children_of(children_of({workers.back()})).front(), SIGKILL); };
  const Tally tally =
      map_while({.max_attempts = 2, .task_timeout = 500ms}, [&] { stop_for_a_while(workers, kill_one); });
  EXPECT_LE(tally.second_attempts, 1U);
}

TEST(Stopped, master_finds_all_tasks_done) {
  const auto stop_this = [] {
    const std::string pid = std::to_string(getpid());
    const std::string seconds = std::to_string(stop_time().count());
    EXPECT_EQ(std::system(("kill -STOP " + pid + "; sleep " + seconds + "; kill -CONT " + pid).c_str()), 0);
  };
  expect_each_once(map_while({.max_attempts = 1, .task_timeout = 1s}, stop_this));
}

/// Nor is a zygote still busy with one that it has just forked.
bool all_are_there() {
  return eventually([] {
    return executors().size() == static_cast<std::size_t>(pool().processes()) &&
           std::ranges::all_of(zygotes(), [](int pid) { return state_of(pid) == 'S'; });
  });
}

/// Lets the children go on when `is_time`, or when the time to wait for that is over.
std::jthread let_go_on_when(const Pids& pids, const std::function<bool()>& is_time) {
  return std::jthread([=] {
    EXPECT_TRUE(eventually(is_time));
    for (const int pid : pids) EXPECT_EQ(state_of(pid), 'T') << "somebody has let it go on";
    for (const int pid : pids) EXPECT_EQ(::kill(pid, SIGCONT), 0);
  });
}

// The zygotes take note of it when they go on, and terminate() returns then.
TEST(StoppedLast, zygotes_do_not_keep_terminate_from_ending_the_tasks) {
  auto call = pool().map_async(sleep_ms, std::vector<int>(1000, 100'000), {.chunksize = 1});
  const Pids children = zygotes();
  ASSERT_TRUE(all_are_there());
  const Pids tasks = executors();
  for (const int pid : children) ::kill(pid, SIGSTOP);
  const auto others = let_go_on_when(children, [tasks] { return std::ranges::all_of(tasks, is_dead); });
  pool().terminate();
  EXPECT_TRUE(std::ranges::all_of(tasks, is_dead));
  EXPECT_THROW(call.get(), rankpool::CancelledError);
}

/// close() and join() while these are stopped.
void expect_join_waits_for(const std::function<Pids()>& whom) {
  ASSERT_TRUE(all_are_there());
  const Pids pids = whom();
  auto call = pool().map_async(square, numbers(1000), {.chunksize = 1});
  for (const int pid : pids) ::kill(pid, SIGSTOP);
  for (const int pid : pids) EXPECT_TRUE(eventually([pid] { return state_of(pid) == 'T'; })) << pid;
  const auto start = std::chrono::steady_clock::now();
  const auto others = let_go_on_when(pids, [=] { return std::chrono::steady_clock::now() - start > stop_time(); });
  pool().close();
  pool().join();
  EXPECT_GE(std::chrono::steady_clock::now() - start, stop_time());
  EXPECT_EQ(call.get(), squares(1000));
}

TEST(StoppedLast, executors_are_waited_for_by_join) { expect_join_waits_for(executors); }

TEST(StoppedLast, zygotes_are_waited_for_by_join) { expect_join_waits_for(zygotes); }

}  // namespace

int main(int argc, char** argv) {
  int status = run_cases(argc, argv, "Stopped.*");
  for (const char* last : {"*.zygotes_do_not_keep*", "*.executors_are_waited*", "*.zygotes_are_waited*"}) {
    status |= run_cases(argc, argv, last);
  }
  return status;
}
