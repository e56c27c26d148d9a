// The ends of a pool. Each case has a pool of its own: a run() after the other, on all ranks alike.
#include "pool/life_cycle.hpp"
#include "pool/pool_test.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iostream>
#include <ranges>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;
using rankpool::Pool;
using rankpool::PoolClosed;
using rankpool::PoolState;
using Clock = std::chrono::steady_clock;

/// Appends its number and its executor, so that the master sees that it runs.
int report_and_sleep(const std::string& path, int ms, int number) {
  append_line(path, std::to_string(number));
  return sleep_ms(ms) + number;
}

/// The same, until there is something in the second file.
int report_and_wait(const std::string& path, const std::string& leave, int number) {
  append_line(path, std::to_string(number));
  for (int i = 0; i < 5000 && std::ifstream(leave).peek() == std::ifstream::traits_type::eof(); ++i) sleep_ms(2);
  return number;
}

void await_lines(const ScratchFile& file, std::size_t lines) {
  for (int i = 0; i < 2000 && file.numbers<std::vector<int>>().size() < lines; ++i) std::this_thread::sleep_for(5ms);
}

// --- closing ---------------------------------------------------------------------------------------------------------

TEST(Close, makes_every_call_an_error) {
  EXPECT_EQ(pool().state(), PoolState::running);
  EXPECT_EQ(pool().map(square, numbers(10)), squares(10));
  pool().close();
  EXPECT_EQ(pool().state(), PoolState::closed);
  EXPECT_EQ(text_of_thrown<PoolClosed>([] { (void)pool().apply(square, 1); }), "Pool not running");
  EXPECT_EQ(text_of_thrown<PoolClosed>([] { (void)pool().map(square, {1}); }), "Pool not running");
  EXPECT_EQ(text_of_thrown<PoolClosed>([] { (void)pool().map(square, std::vector<int>{}); }), "Pool not running");
  EXPECT_EQ(text_of_thrown<PoolClosed>([] { (void)pool().starmap(power, {{1, 1}}); }), "Pool not running");
  EXPECT_EQ(text_of_thrown<PoolClosed>([] { (void)pool().map_outcomes(square, {1}); }), "Pool not running");
  EXPECT_EQ(text_of_thrown<PoolClosed>([] { (void)pool().starmap_outcomes(power, {{1, 1}}); }), "Pool not running");
  pool().join();
  EXPECT_THROW((void)pool().apply(square, 1), PoolClosed);
  EXPECT_GT(pool().processes(), 0);
}

TEST(Close, lets_pending_work_complete) {
  const ScratchFile file;
  auto results = std::async(std::launch::async, [&] {
    return pool().map(rankpool::bind(report_and_sleep, file.path(), 5), numbers(20), {.chunksize = 1});
  });
  await_lines(file, 1);
  pool().close();
  pool().join();
  const std::vector<int> got = results.get();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(got.at(static_cast<std::size_t>(i)), 5 + i);
}

TEST(Close, at_once_works) {
  pool().close();
  pool().join();
}

TEST(Join, of_an_open_pool_is_an_error) {
  const auto text = text_of_thrown<std::logic_error>([] { pool().join(); });
  EXPECT_TRUE(contains(text, "still running")) << text;
  EXPECT_EQ(pool().apply(square, 3), 9);
}

// --- terminating -----------------------------------------------------------------------------------------------------

TEST(Terminate, returns_promptly_while_long_tasks_run_and_cancels_their_calls) {
  const ScratchFile file;
  auto call = std::async(std::launch::async, [&] {
    (void)pool().map(rankpool::bind(report_and_sleep, file.path(), 10'000), numbers(200), {.chunksize = 1});
  });
  await_lines(file, 1);
  const auto start = Clock::now();
  pool().terminate();
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_THROW(call.get(), CancelledError);
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_EQ(pool().state(), PoolState::terminated);
  EXPECT_EQ(text_of_thrown<PoolClosed>([] { (void)pool().apply(square, 1); }), "Pool not running");
  EXPECT_LE(file.numbers<std::vector<int>>().size(), static_cast<std::size_t>(pool().processes()));
}

TEST(Terminate, of_an_idle_pool_works) {
  pool().terminate();
  pool().join();
}

std::string life_calls;  // c: close, j: join, t: terminate, s: shutdown

TEST(LifeCalls, may_be_repeated_in_any_order) {
  EXPECT_EQ(pool().map(square, numbers(50)), squares(50));
  for (const char call : life_calls) {
    switch (call) {
      case 'c':
        pool().close();
        break;
      case 'j':
        pool().join();
        break;
      case 't':
        pool().terminate();
        break;
      default:
        pool().shutdown();
        break;
    }
    EXPECT_THROW((void)pool().apply(square, 1), PoolClosed);
  }
}

// --- shutdown --------------------------------------------------------------------------------------------------------

TEST(Shutdown, waits_for_what_runs) {
  const ScratchFile file;
  auto call = std::async(std::launch::async,
                         [&] { return pool().apply(rankpool::bind(report_and_sleep, file.path(), 100), 1); });
  await_lines(file, 1);
  pool().shutdown();
  EXPECT_EQ(call.wait_for(2s), std::future_status::ready);
  EXPECT_EQ(call.get(), 101);
}

TEST(Shutdown, need_not_wait) {
  const ScratchFile file;
  const ScratchFile leave;
  auto call = std::async(std::launch::async,
                         [&] { return pool().apply(rankpool::bind(report_and_wait, file.path(), leave.path()), 1); });
  await_lines(file, 1);
  pool().shutdown({.wait = false});
  EXPECT_EQ(pool().state(), PoolState::closed);
  EXPECT_EQ(call.wait_for(0s), std::future_status::timeout);
  append_line(leave.path(), "1");
  EXPECT_EQ(call.get(), 1);
}

// One executor: the second call can't start while the first runs.
TEST(Shutdown, cancels_pending_calls_and_finishes_running_ones) {
  const ScratchFile file;
  const ScratchFile leave;
  auto running = std::async(
      std::launch::async, [&] { return pool().apply(rankpool::bind(report_and_wait, file.path(), leave.path()), 1); });
  await_lines(file, 1);
  std::vector<std::future<void>> pending;
  std::array<std::atomic<bool>, 5> accepted{};  // a call's inputs are drawn once it is the pool's
  for (auto& mine : accepted) {
    pending.push_back(std::async(std::launch::async, [&file, &mine] {
      const auto input = std::views::single(2) | std::views::transform([&mine](int i) {
                           mine = true;
                           return i;
                         });
      (void)pool().map(rankpool::bind(report_and_sleep, file.path(), 0), input);
    }));
  }
  for (int i = 0; i < 5000 && !std::ranges::all_of(accepted, [](const auto& mine) { return mine.load(); }); ++i)
    sleep_ms(2);
  std::jthread leaving([&] {  // once the pending ones have been cancelled
    for (const auto& call : pending) call.wait();
    append_line(leave.path(), "1");
  });
  pool().shutdown({.cancel_pending = true});
  leaving.join();
  EXPECT_EQ(running.get(), 1);
  for (auto& call : pending) EXPECT_THROW(call.get(), CancelledError);
  EXPECT_EQ(file.numbers<std::vector<int>>().size(), 1U);
}

// --- dropping --------------------------------------------------------------------------------------------------------

TEST(Drop, of_an_open_pool_ends_it) {
  Pool mine = std::move(pool());
  EXPECT_EQ(mine.map(square, numbers(100)), squares(100));
  EXPECT_THROW((void)pool().apply(square, 1), PoolClosed);
  const auto start = Clock::now();
  { const Pool dropped = std::move(mine); }
  EXPECT_LT(Clock::now() - start, 5s);
}

TEST(Drop, at_the_masters_end_does_not_hang) { EXPECT_EQ(pool().apply(square, 2), 4); }

// --- several runs ----------------------------------------------------------------------------------------------------

int failures = 0;

void check(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << "FAILED: " << what << std::endl;
  ++failures;
}

/// What run() itself gives, on the master's rank and on the others.
void check_statuses(int argc, char** argv) {
  bool is_master = false;
  const int given = rankpool::run(argc, argv, [&](Pool& pool) {
    is_master = true;
    return pool.apply(square, 2);
  });
  check(given == (is_master ? 4 : 0), "the master's status is given on its rank, 0 on the others");

  const int thrown = rankpool::run(argc, argv, [](Pool&) { throw std::runtime_error("thrown on purpose"); });
  check(thrown == (is_master ? 1 : 0), "an exception that leaves the master gives status 1 on its rank, 0 elsewhere");

  bool called = false;
  const int refused = rankpool::run(argc, argv, [&](Pool&) { called = true; }, {.processes = -1});
  check(refused != 0 && !called, "a negative number of processes is refused on all ranks");

  double result = 0;
  const int again = rankpool::run(argc, argv, [&](Pool& pool) { result = pool.apply(power, 2.0, 8); });
  check(again == 0 && result == (is_master ? 256 : 0), "run() works after all this");
}

}  // namespace

int main(int argc, char** argv) {
  int status = EXIT_SUCCESS;
  for (const char* name :
       {"Close.makes_every_call_an_error", "Close.lets_pending_work_complete", "Close.at_once_works",
        "Join.of_an_open_pool_is_an_error", "Terminate.returns_promptly_while_long_tasks_run_and_cancels_their_calls",
        "Terminate.of_an_idle_pool_works", "Shutdown.waits_for_what_runs", "Shutdown.need_not_wait",
        "Drop.of_an_open_pool_ends_it", "Drop.at_the_masters_end_does_not_hang"}) {
    status |= run_cases(argc, argv, name);
  }
  for (const char* order : {"cj", "ccjj", "cjt", "tj", "ttjj", "tcjs", "ss", "scjt", "cts", "tsc"}) {
    life_calls = order;
    status |= run_cases(argc, argv, "LifeCalls.*");
  }
  status |= run_cases(argc, argv, "Shutdown.cancels_pending_calls_and_finishes_running_ones", {.processes = 1});
  status |= run_initializer_cases(argc, argv) | run_executor_cases(argc, argv);
  check_statuses(argc, argv);
  return failures == 0 ? status : EXIT_FAILURE;
}
