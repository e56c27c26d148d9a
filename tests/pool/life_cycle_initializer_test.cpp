// Initializers of executors.
#include "pool/life_cycle.hpp"
#include "pool/pool_test.hpp"

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <unistd.h>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::BrokenPool;
using rankpool::PoolState;

int initialised_with = 0;
int initialised_slot = -1;
int initialisations = 0;

void initialise(const std::string& path, int value) {
  initialised_with = value;
  initialised_slot = rankpool::this_task::slot();
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

TEST(Initializer, knows_its_executors_slot) {
  const auto task = [](int i) {
    if (i % 10 == 0 && rankpool::this_task::attempt() == 1) _exit(1);
    return initialised_slot == rankpool::this_task::slot() ? 1 : 0;
  };
  EXPECT_EQ(pool().map(task, numbers(50)), std::vector<int>(50, 1));
}

TEST(Initializer, runs_in_replaced_executors_too) {
  const auto task = [](int i) {
    if (i % 10 == 0 && rankpool::this_task::attempt() == 1) _exit(1);
    return initialised_with;
  };
  EXPECT_EQ(pool().map(task, numbers(50)), std::vector<int>(50, 42));
}

/// So few that no executor has had its limit of them.
constexpr std::size_t killed_at_first = 4;

std::size_t executors_of_pool() { return static_cast<std::size_t>(pool().processes()); }

void fail_to_initialise() { throw std::runtime_error("no licence for the solver"); }
void crash_at_initialisation() { _exit(9); }

/// @returns how many executors have called it before this one.
std::size_t count_callers_before(const std::string& path) {
  append_line(path, std::to_string(getpid()));
  std::ifstream file(path);
  const std::vector<int> callers(std::istream_iterator<int>(file), {});
  return static_cast<std::size_t>(std::ranges::find(callers, getpid()) - callers.begin());
}

/// As an administrator does it, or a kernel short of memory.
void be_killed(const std::string& path, std::size_t times, int signal) {
  if (count_callers_before(path) >= times) return;
  const sigset_t none{};
  std::signal(signal, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  raise(signal);
}

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

TEST(Initializer, that_throws_breaks_the_pool) {
  expect_broken("no licence for the solver");
  expect_broken("the initializer failed on ");
}

TEST(Initializer, that_crashes_breaks_the_pool) {
  expect_broken("exit(9)");
  expect_broken("slot ");
  expect_broken("RANKPOOL_INLINE=1");
}

TEST(Initializer, that_is_killed_from_outside_runs_in_another_executor) {
  EXPECT_TRUE(eventually([] {
    EXPECT_EQ(pool().map(square, numbers(50)), squares(50));
    return initialised_executors().size() == killed_at_first + executors_of_pool();
  }));
  EXPECT_EQ(pool().state(), PoolState::running);
}

TEST(Initializer, that_is_killed_again_and_again_breaks_the_pool) {
  expect_broken("SIGKILL");
  expect_broken("slot ");
  expect_broken("memory");
}

TEST(Initializer, that_broke_the_pool_does_not_keep_it_from_ending) {
  EXPECT_THROW((void)pool().apply(square, 1), BrokenPool);
  pool().close();
  pool().join();
  pool().terminate();
}

}  // namespace

int rankpool::test::run_initializer_cases(int argc, char** argv) {
  // The root's options count: the file is the one of its rank.
  const ScratchFile log;
  initialiser_log = log.path();
  const auto set_up = rankpool::bind(initialise, log.path(), 42);
  const std::string replaced = "Initializer.runs_in_replaced_executors_too";
  int status =
      run_cases(argc, argv, "Initializer.runs_once_in_every_executor_before_its_first_task", {.initializer = set_up});
  status |= run_cases(argc, argv, replaced, {.initializer = set_up});
  status |= run_cases(argc, argv, replaced, {.initializer = set_up, .max_tasks_per_child = 3});
  status |= run_cases(argc, argv, "Initializer.that_throws_breaks_the_pool", {.initializer = fail_to_initialise});
  status |= run_cases(argc, argv, "Initializer.that_crashes_breaks_the_pool", {.initializer = crash_at_initialisation});
  for (const int signal : {SIGKILL, SIGTERM}) {
    const ScratchFile deaths;
    initialiser_log = deaths.path();
    status |= run_cases(argc, argv, "Initializer.that_is_killed_from_outside_runs_in_another_executor",
                        {.initializer = rankpool::bind(be_killed, deaths.path(), killed_at_first, signal)});
  }
  const ScratchFile deaths;
  status |= run_cases(argc, argv, "Initializer.that_is_killed_again_and_again_breaks_the_pool",
                      {.initializer = rankpool::bind(be_killed, deaths.path(), std::size_t{1} << 20U, SIGKILL)});
  status |= run_cases(argc, argv, "Initializer.that_broke_the_pool_does_not_keep_it_from_ending",
                      {.initializer = fail_to_initialise});
  return status;
}
