// Each case has a pool of its own: a run() after the other, on all ranks alike.
#include "pool/pool_test.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <ranges>
#include <set>
#include <thread>
#include <vector>

#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::BrokenPool;
using rankpool::CancelledError;
using rankpool::Pool;
using rankpool::PoolClosed;
using rankpool::PoolOptions;
using rankpool::PoolState;
using Clock = std::chrono::steady_clock;

int sleep_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return ms;
}

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

// --- initializer -----------------------------------------------------------------------------------------------------

int initialised_with = 0;
int initialisations = 0;

void initialise(const std::string& path, int value) {
  initialised_with = value;
  ++initialisations;
  append_line(path, std::to_string(getpid()));
}

std::string initialiser_log;

std::vector<int> initialised_executors() {
  std::ifstream file(initialiser_log);
  return {std::istream_iterator<int>(file), {}};
}

TEST(Initializer, runs_once_in_every_executor_before_its_first_task) {
  const auto task = [](int) {
    sleep_ms(2);
    return std::tuple(initialised_with, initialisations, static_cast<int>(getpid()));
  };
  std::set<int> seen;
  for (const auto& [value, times, pid] : pool().map(task, numbers(100), {.chunksize = 1})) {
    EXPECT_EQ(value, 42);
    EXPECT_EQ(times, 1);
    seen.insert(pid);
  }
  const auto initialised = initialised_executors();
  for (const int pid : seen) EXPECT_EQ(std::ranges::count(initialised, pid), 1);
}

TEST(Initializer, runs_in_replaced_executors_too) {
  const auto task = [](int i) {
    if (i % 10 == 0 && rankpool::this_task::attempt() == 1) _exit(1);
    return initialised_with;
  };
  EXPECT_EQ(pool().map(task, numbers(50)), std::vector<int>(50, 42));
}

void fail_to_initialise() { throw std::runtime_error("no licence for the solver"); }
void crash_at_initialisation() { _exit(9); }

// The executors start by themselves: whether the first call meets a pool that is broken already, or is pending when it
// breaks, is a matter of time.
void expect_broken(const std::string& part) {
  for (int i = 0; i < 3; ++i) {
    const auto text = text_of_thrown<BrokenPool>([] { (void)pool().map(square, numbers(50)); });
    EXPECT_TRUE(contains(text, part)) << text;
    EXPECT_TRUE(contains(text, "initializer")) << text;
  }
  EXPECT_TRUE(contains(text_of_thrown<BrokenPool>([] { (void)pool().apply(square, 1); }), part));
  EXPECT_THROW((void)pool().map_outcomes(square, {1}), BrokenPool);
  EXPECT_EQ(pool().state(), PoolState::broken);
}

TEST(Initializer, that_throws_breaks_the_pool) { expect_broken("no licence for the solver"); }

TEST(Initializer, that_crashes_breaks_the_pool) { expect_broken("exit(9)"); }

TEST(Initializer, that_broke_the_pool_does_not_keep_it_from_ending) {
  EXPECT_THROW((void)pool().apply(square, 1), BrokenPool);
  pool().close();
  pool().join();
  pool().terminate();
}

// --- executors -------------------------------------------------------------------------------------------------------

std::map<int, int> tasks_per_executor(int tasks, int chunksize) {
  const auto who = [](int i) { return std::pair(static_cast<int>(getpid()), square(i)); };
  std::map<int, int> count;
  const auto results = pool().map(who, numbers(tasks), {.chunksize = chunksize});
  for (int i = 0; i < tasks; ++i) {
    const auto& [pid, result] = results.at(static_cast<std::size_t>(i));
    EXPECT_EQ(result, square(i));
    ++count[pid];
  }
  return count;
}

TEST(MaxTasksPerChild, of_ten_replaces_executors_after_ten_tasks) {
  for (const int chunksize : {0, 1, 7, 25}) {
    const auto count = tasks_per_executor(100, chunksize);
    EXPECT_GE(count.size(), 10U);
    for (const auto& [pid, tasks] : count) EXPECT_LE(tasks, 10);
  }
}

TEST(MaxTasksPerChild, of_one_gives_each_task_an_executor_of_its_own) {
  EXPECT_EQ(tasks_per_executor(40, 1).size(), 40U);
  pool().close();
  pool().join();
}

std::set<std::pair<int, int>> places_of_executors() {
  const auto place = [](int) {
    sleep_ms(20);
    return std::pair(rankpool::this_task::rank(), rankpool::this_task::slot());
  };
  const auto places = pool().map(place, numbers(8 * pool().processes()), {.chunksize = 1});
  return {places.begin(), places.end()};
}

TEST(Processes, are_at_least_one_by_default) {
  EXPECT_GE(pool().processes(), 1);
  EXPECT_EQ(places_of_executors().size(), static_cast<std::size_t>(pool().processes()));
}

TEST(Processes, of_one_run_one_task_at_a_time) {
  EXPECT_EQ(pool().processes(), 1);
  EXPECT_EQ(tasks_per_executor(100, 1).size(), 1U);
}

TEST(Processes, beyond_the_cpus_are_spread_evenly) {
  EXPECT_EQ(pool().processes(), 7);
  std::map<int, int> per_rank;
  const auto places = places_of_executors();
  EXPECT_EQ(places.size(), 7U);
  for (const auto& [rank, slot] : places) ++per_rank[rank];
  const auto [least, most] = std::ranges::minmax(per_rank | std::views::values);
  EXPECT_LE(most - least, 1);
  EXPECT_EQ(pool().map(square, numbers(1000)), squares(1000));
}

TEST(Name, is_the_one_given) { EXPECT_EQ(pool().name(), "sweep"); }

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

void run_case(int argc, char** argv, const std::string& name, PoolOptions options = {}) {
  check(run_cases(argc, argv, name, std::move(options)) == 0, name);
}

void run_initializer_cases(int argc, char** argv) {
  // The root's options count: the file is the one of its rank.
  const ScratchFile log;
  initialiser_log = log.path();
  const auto set_up = rankpool::bind(initialise, log.path(), 42);
  run_case(argc, argv, "Initializer.runs_once_in_every_executor_before_its_first_task", {.initializer = set_up});
  run_case(argc, argv, "Initializer.runs_in_replaced_executors_too", {.initializer = set_up});
  run_case(argc, argv, "Initializer.runs_in_replaced_executors_too", {.initializer = set_up, .max_tasks_per_child = 3});
  run_case(argc, argv, "Initializer.that_throws_breaks_the_pool", {.initializer = fail_to_initialise});
  run_case(argc, argv, "Initializer.that_crashes_breaks_the_pool", {.initializer = crash_at_initialisation});
  run_case(argc, argv, "Initializer.that_broke_the_pool_does_not_keep_it_from_ending",
           {.initializer = fail_to_initialise});
}

}  // namespace

int main(int argc, char** argv) {
  for (const char* name :
       {"Close.makes_every_call_an_error", "Close.lets_pending_work_complete", "Close.at_once_works",
        "Join.of_an_open_pool_is_an_error", "Terminate.returns_promptly_while_long_tasks_run_and_cancels_their_calls",
        "Terminate.of_an_idle_pool_works", "Shutdown.waits_for_what_runs", "Shutdown.need_not_wait",
        "Drop.of_an_open_pool_ends_it", "Drop.at_the_masters_end_does_not_hang",
        "Processes.are_at_least_one_by_default"}) {
    run_case(argc, argv, name);
  }
  for (const char* order : {"cj", "ccjj", "cjt", "tj", "ttjj", "tcjs", "ss", "scjt", "cts", "tsc"}) {
    life_calls = order;
    run_case(argc, argv, "LifeCalls.*");
  }
  run_case(argc, argv, "Shutdown.cancels_pending_calls_and_finishes_running_ones", {.processes = 1});
  run_initializer_cases(argc, argv);
  run_case(argc, argv, "MaxTasksPerChild.of_ten_replaces_executors_after_ten_tasks", {.max_tasks_per_child = 10});
  run_case(argc, argv, "MaxTasksPerChild.of_one_gives_each_task_an_executor_of_its_own", {.max_tasks_per_child = 1});
  run_case(argc, argv, "Processes.of_one_run_one_task_at_a_time", {.processes = 1});
  run_case(argc, argv, "Processes.beyond_the_cpus_are_spread_evenly", {.processes = 7});
  run_case(argc, argv, "Name.*", {.name = "sweep"});
  check_statuses(argc, argv);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
