// Calls with `speculate`, while a part of the pool stands still: its tasks run elsewhere, too, and what ends first
// counts.
#include "pool/pool_test.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <numeric>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include "faults/family.hpp"
#include "faults/ledger.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)

constexpr std::uint64_t tasks = 200;

/// Of different sizes.
std::string result_of(std::uint64_t index) { return std::string(index % 7, 'x') + std::to_string(index); }

std::string work(const std::string& ledger, std::uint64_t index) {
  ledger_at(ledger).note_start(index);
  std::this_thread::sleep_for(5ms);
  return result_of(index);
}

std::vector<std::string> expected() {
  std::vector<std::string> all;
  for (std::uint64_t i = 0; i < tasks; ++i) all.push_back(result_of(i));
  return all;
}

/// Stops processes when some tasks have ended, and lets them go on in its destructor.
class Standstill {
 public:
  Standstill(Ledger& ledger, const std::function<Pids()>& whom)
      : stopper_([this, &ledger, whom] { stop(ledger, whom); }) {}
  Standstill(const Standstill&) = delete;
  Standstill& operator=(const Standstill&) = delete;
  ~Standstill() {
    await_stop();
    go_on();
  }

  void go_on() {
    for (const int pid : pids_) ::kill(pid, SIGCONT);
  }
  /// Whether all of them have been standing still since they were stopped.
  [[nodiscard]] bool lasts() {
    await_stop();
    return std::ranges::all_of(pids_, [](int pid) { return state_of(pid) == 'T'; });
  }

 private:
  void stop(Ledger& ledger, const std::function<Pids()>& whom) {
    EXPECT_TRUE(eventually([&] { return ledger[20].starts != 0; }));
    pids_ = whom();
    for (const int pid : pids_) EXPECT_EQ(::kill(pid, SIGSTOP), 0);
  }

  void await_stop() {
    if (stopper_.joinable()) stopper_.join();
  }

  Pids pids_;
  std::jthread stopper_;
};

Pids one_executor() { return {executors().back()}; }

/// All that belongs to the last rank; of a pool without others, an executor.
Pids one_rank() {
  Pids all = ranks();
  if (all.size() == 1) return one_executor();
  const int rank = *std::ranges::find_if(all.rbegin(), all.rend(), [](int pid) { return pid != getpid(); });
  all = {rank};
  for (const int zygote : children_of({rank})) {
    all.push_back(zygote);
    std::ranges::copy(children_of({zygote}), std::back_inserter(all));
  }
  return all;
}

/// How many tasks were begun again; none more than twice, for a copy may be late as well.
std::uint64_t begun_again(Ledger& ledger) {
  std::uint64_t again = 0;
  for (std::uint64_t i = 0; i < tasks; ++i) {
    EXPECT_GE(ledger[i].starts, 1U) << i;
    EXPECT_LE(ledger[i].starts, 3U) << i;
    again += ledger[i].starts - 1;
  }
  return again;
}

void expect_to_serve() { EXPECT_EQ(pool().map(square, numbers(1000)), squares(1000)); }

TEST(Speculation, a_map_does_not_wait_for_an_executor_that_stands_still) {
  for (const int chunksize : {0, 1, 10}) {
    Ledger ledger(tasks);
    Standstill standstill(ledger, one_executor);
    const auto results = pool().map(rankpool::bind(work, ledger.path()), std::views::iota(std::uint64_t{0}, tasks),
                                    {.chunksize = chunksize, .speculate = true});
    EXPECT_TRUE(standstill.lasts());
    EXPECT_EQ(results, expected());
    EXPECT_GE(begun_again(ledger), 1U);
  }
  expect_to_serve();
}

TEST(Speculation, a_map_does_not_wait_for_a_rank_that_stands_still) {
  Ledger ledger(tasks);
  {
    Standstill standstill(ledger, one_rank);
    const auto results =
        pool().map(rankpool::bind(work, ledger.path()), std::views::iota(std::uint64_t{0}, tasks), {.speculate = true});
    EXPECT_TRUE(standstill.lasts());
    EXPECT_EQ(results, expected());
  }
  expect_to_serve();
}

TEST(Speculation, a_future_and_a_stream_do_not_wait_either) {
  {
    Ledger ledger(tasks);
    Standstill standstill(ledger, one_executor);
    auto future = pool().map_async(rankpool::bind(work, ledger.path()), std::views::iota(std::uint64_t{0}, tasks),
                                   {.speculate = true});
    EXPECT_EQ(future.get(), expected());
    EXPECT_TRUE(standstill.lasts());
  }
  Ledger ledger(tasks);
  Standstill standstill(ledger, one_executor);
  std::vector<std::string> results;
  for (const std::string& result :
       pool().imap(rankpool::bind(work, ledger.path()), std::views::iota(std::uint64_t{0}, tasks),
                   {.buffersize = 2 * tasks, .speculate = true})) {
    results.push_back(result);
  }
  EXPECT_EQ(results, expected());
  EXPECT_TRUE(standstill.lasts());
}

TEST(Speculation, results_that_come_from_both_sides_count_once) {
  Ledger ledger(tasks);
  Standstill standstill(ledger, one_executor);
  const auto has_copies = [&ledger] {
    for (std::uint64_t i = 0; i < tasks; ++i) {
      if (ledger[i].starts > 1) return true;
    }
    return false;
  };
  std::jthread others([&] {
    EXPECT_TRUE(eventually(has_copies));
    standstill.go_on();
  });
  const auto results = pool().map(rankpool::bind(work, ledger.path()), std::views::iota(std::uint64_t{0}, tasks),
                                  {.chunksize = 50, .speculate = true});
  EXPECT_EQ(results, expected());
  EXPECT_GE(begun_again(ledger), 1U);
}

TEST(Speculation, what_runs_in_time_runs_once) {
  for (const std::uint64_t chunksize : {std::uint64_t{0}, tasks / 5}) {
    Ledger ledger(tasks);
    pool().map(rankpool::bind(work, ledger.path()), std::views::iota(std::uint64_t{0}, tasks),
               {.chunksize = chunksize, .speculate = true});
    EXPECT_LE(begun_again(ledger), std::max(tasks / 20, chunksize));  // a busy machine makes some late
  }
}

TEST(Speculation, a_stream_whose_buffer_is_full_does_not_wait) {
  Ledger ledger(tasks);
  Standstill standstill(ledger, one_executor);
  std::vector<std::string> results;
  for (const std::string& result :
       pool().imap(rankpool::bind(work, ledger.path()), std::views::iota(std::uint64_t{0}, tasks),
                   {.buffersize = 40, .speculate = true})) {
    results.push_back(result);
  }
  EXPECT_TRUE(standstill.lasts());
  EXPECT_EQ(results, expected());
}

TEST(Speculation, a_journals_key_is_free_for_the_next_call) {
  const ScratchFile journal;
  std::filesystem::remove(journal.path());
  Ledger ledger(tasks);
  Standstill standstill(ledger, one_executor);
  const auto starts = [&ledger] {
    std::uint64_t all = 0;
    for (std::uint64_t i = 0; i < tasks; ++i) all += ledger[i].starts;
    return all;
  };
  std::uint64_t begun = 0;
  for (int call = 0; call < 2; ++call) {
    const auto results = pool().map(rankpool::bind(work, ledger.path()), std::views::iota(std::uint64_t{0}, tasks),
                                    {.journal = journal.path(), .journal_key = "sweep", .speculate = true});
    EXPECT_EQ(results, expected());
    EXPECT_TRUE(standstill.lasts());
    if (call == 1) {
      EXPECT_LE(starts() - begun, tasks / 10);  // copies may still run
    }
    begun = starts();
  }
}

TEST(Speculation, the_error_of_a_late_task_is_thrown) {
  const auto late_and_bad = [](int i) {
    std::this_thread::sleep_for(i == 99 ? 500ms : 2ms);
    if (i == 99) throw std::runtime_error("task 99 is bad");
    return i;
  };
  EXPECT_THROW(pool().map(late_and_bad, std::views::iota(0, 100), {.chunksize = 1, .speculate = true}),
               std::runtime_error);
  expect_to_serve();
}

TEST(Speculation, is_refused_where_no_task_may_run_twice) {
  EXPECT_THROW(pool().map(square, numbers(10), {.max_attempts = 1, .speculate = true}), std::invalid_argument);
}

// The tasks that still run there are of no use to anybody.
TEST(SpeculationLast, the_end_of_the_pool_does_not_wait_for_an_executor_that_stands_still) {
  Ledger ledger(tasks);
  std::jthread stopper([&ledger] {
    EXPECT_TRUE(eventually([&] { return ledger[20].starts != 0; }));
    EXPECT_EQ(::kill(executors().back(), SIGSTOP), 0);
  });
  const auto results =
      pool().map(rankpool::bind(work, ledger.path()), std::views::iota(std::uint64_t{0}, tasks), {.speculate = true});
  EXPECT_EQ(results, expected());
}

}  // namespace

int main(int argc, char** argv) {
  return run_cases(argc, argv, "Speculation.*") | run_cases(argc, argv, "SpeculationLast.*");
}
