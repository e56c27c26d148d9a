// The time a task may take, and how it hears that nobody waits for it.
#include "pool/pool_test.hpp"

#include <chrono>
#include <csignal>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Seconds;
using rankpool::TaskTimeout;
using rankpool::TimeoutError;
using rankpool::WorkerLost;
using Clock = std::chrono::steady_clock;

constexpr auto far_too_long = 60s;

/// Says that it runs; task `slow` doesn't end.
int slow_at(const std::string& path, int slow, int i) {
  append_line(path, std::to_string(i));
  if (i == slow) std::this_thread::sleep_for(far_too_long);
  return square(i);
}

// --- the time a task may take ---------------------------------------------------------------------------------------

TEST(TaskTimeout, is_the_error_of_the_slow_task_alone) {
  const ScratchFile file;
  const auto outcomes = pool().map_outcomes(rankpool::bind(slow_at, file.path(), 13), numbers(40),
                                            {.chunksize = 10, .task_timeout = 400ms});
  for (int i = 0; i < 40; ++i) {
    const auto& outcome = outcomes.at(static_cast<std::size_t>(i));
    if (i == 13) {
      EXPECT_TRUE(is_a<TaskTimeout>(outcome.exception())) << outcome.error_text();
    } else {
      ASSERT_TRUE(outcome.has_value()) << i << ": " << outcome.error_text();
      EXPECT_EQ(*outcome, square(i));
    }
  }
  // Neither the slow task nor another ran twice.
  EXPECT_EQ(file.numbers<std::multiset<int>>().size(), 40U);
  EXPECT_EQ(file.numbers<std::set<int>>().size(), 40U);
}

TEST(TaskTimeout, tells_task_place_and_limit) {
  try {
    pool().map(sleep_ms, {0, 60'000}, {.max_attempts = 5, .task_timeout = 0.25s});
    ADD_FAILURE() << "nothing was thrown";
  } catch (const TaskTimeout& error) {
    EXPECT_EQ(error.task(), 1U);
    EXPECT_EQ(error.attempt(), 1U);
    EXPECT_GE(error.rank(), 0);
    EXPECT_GE(error.slot(), 0);
    EXPECT_FALSE(error.host().empty());
    const std::string text = error.what();
    for (const std::string part : {"task 1 ", "task_timeout of 0.25 s", "not tried again"}) {
      EXPECT_TRUE(contains(text, part)) << text;
    }
    EXPECT_TRUE(contains(text, error.host())) << text;
  }
}

TEST(TaskTimeout, is_no_lost_worker_and_no_timeout_of_the_call) {
  const auto error = pool().map_outcomes(sleep_ms, {60'000}, {.task_timeout = 50ms}).at(0).exception();
  EXPECT_TRUE(is_a<rankpool::RemoteError>(error));
  EXPECT_TRUE(is_a<rankpool::Error>(error));
  EXPECT_TRUE(is_a<std::runtime_error>(error));
  EXPECT_FALSE(is_a<WorkerLost>(error));
  EXPECT_FALSE(is_a<TimeoutError>(error));
}

TEST(TaskTimeout, comes_not_before_its_time_and_soon_after) {
  for (const auto limit : {1ms, 300ms, 700ms}) {
    const auto start = Clock::now();
    EXPECT_THROW(pool().map(sleep_ms, {60'000}, {.task_timeout = limit}), TaskTimeout);
    const auto elapsed = Clock::now() - start;
    EXPECT_GE(elapsed, limit);
    EXPECT_LT(elapsed, limit + 5s);
  }
}

TEST(TaskTimeout, counts_for_each_task_not_for_its_chunk) {
  const std::vector<int> naps(60, 50);
  EXPECT_EQ(pool().map(sleep_ms, naps, {.chunksize = 30, .task_timeout = 1s}), naps);
}

TEST(TaskTimeout, of_a_task_that_ignores_signals) {
  const auto stubborn = [](int) {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGALRM}) std::signal(signal, SIG_IGN);
    volatile std::uint64_t turns = 0;
    for (;;) turns = turns + 1;
  };
  const auto outcomes = pool().map_outcomes(stubborn, numbers(3), {.task_timeout = 200ms});
  for (const auto& outcome : outcomes) EXPECT_TRUE(is_a<TaskTimeout>(outcome.exception())) << outcome.error_text();
  EXPECT_EQ(pool().apply(square, 3), 9);
}

TEST(TaskTimeout, ends_what_the_task_has_started) {
  const ScratchFile file;
  const auto task = [](const std::string& path) {
    return std::system(("echo $$ >> " + path + "; sleep 60; true").c_str());
  };
  const auto outcomes = pool().map_outcomes(task, {file.path()}, {.task_timeout = 2s});
  EXPECT_TRUE(is_a<TaskTimeout>(outcomes.at(0).exception())) << outcomes.at(0).error_text();
  const auto pids = file.numbers<std::vector<int>>();
  ASSERT_EQ(pids.size(), 1U);
  EXPECT_TRUE(eventually([&] { return ::kill(pids[0], 0) != 0; })) << pids[0];
}

TEST(TaskTimeout, of_every_task_is_every_tasks_error) {
  const std::vector<int> naps(20, 60'000);
  const auto outcomes = pool().map_outcomes(sleep_ms, naps, {.chunksize = 3, .task_timeout = 30ms});
  for (std::size_t i = 0; i < naps.size(); ++i) {
    EXPECT_TRUE(is_a<TaskTimeout>(outcomes.at(i).exception())) << i << ": " << outcomes.at(i).error_text();
  }
  EXPECT_EQ(pool().map(square, {1, 2, 3}), (std::vector{1, 4, 9}));
}

// Tasks that end when their time does: whatever the outcome, it is that of the
// one run, and nobody else's.
TEST(TaskTimeout, at_the_very_end_of_a_task_harms_no_other_task) {
  const ScratchFile file;
  const auto task = [](const std::string& path, int i) {
    append_line(path, std::to_string(i));
    std::this_thread::sleep_for(std::chrono::microseconds(15'000 + 100 * (i % 100)));
    return i;
  };
  const auto outcomes = pool().map_outcomes(rankpool::bind(task, file.path()), numbers(200),
                                            {.chunksize = 8, .max_attempts = 1, .task_timeout = 15ms});
  const auto runs = file.numbers<std::multiset<int>>();
  for (int i = 0; i < 200; ++i) {
    const auto& outcome = outcomes.at(static_cast<std::size_t>(i));
    EXPECT_LE(runs.count(i), 1U) << i;
    if (outcome.has_value()) {
      EXPECT_EQ(*outcome, i);
      EXPECT_EQ(runs.count(i), 1U) << i;
    } else {
      EXPECT_TRUE(is_a<TaskTimeout>(outcome.exception())) << i << ": " << outcome.error_text();
    }
  }
}

TEST(TaskTimeout, leaves_calls_without_a_limit_alone) {
  std::jthread limited([] {
    const auto outcomes = pool().map_outcomes(sleep_ms, {60'000, 60'000, 60'000}, {.task_timeout = 100ms});
    for (const auto& outcome : outcomes) EXPECT_TRUE(is_a<TaskTimeout>(outcome.exception())) << outcome.error_text();
  });
  const std::vector<int> naps(6, 400);
  EXPECT_EQ(pool().map(sleep_ms, naps, {.max_attempts = 1}), naps);
}

TEST(TaskTimeout, leaves_a_task_with_a_large_result_alone) {
  const auto large = [](int i) { return std::vector<int>(300'000, i); };
  const auto results = pool().map(large, numbers(40), {.task_timeout = 5s});
  for (std::size_t i = 0; i < 40; ++i) EXPECT_EQ(results.at(i).at(299'999), static_cast<int>(i));
}

TEST(TaskTimeout, is_not_what_a_task_throws) {
  const auto outcomes = pool().map_outcomes([](int) { throw TimeoutError("of the task"); }, {0}, {.task_timeout = 10s});
  EXPECT_TRUE(is_a<TimeoutError>(outcomes.at(0).exception()));
  EXPECT_TRUE(is_a<rankpool::RemoteError>(outcomes.at(0).exception()));
  EXPECT_FALSE(is_a<TaskTimeout>(outcomes.at(0).exception()));
  EXPECT_EQ(outcomes.at(0).error_text(), "of the task");
}

TEST(TaskTimeout, is_charged_to_a_crash_where_the_task_crashed) {
  const auto crash = [](int) { _exit(3); };
  const auto outcomes = pool().map_outcomes(crash, {0}, {.max_attempts = 1, .task_timeout = 10s});
  EXPECT_TRUE(is_a<WorkerLost>(outcomes.at(0).exception())) << outcomes.at(0).error_text();
}

TEST(TaskTimeout, must_be_above_zero) {
  for (const Seconds wrong : {Seconds(0), Seconds(-1), Seconds(std::numeric_limits<double>::quiet_NaN())}) {
    const std::string text =
        text_of_thrown<std::invalid_argument>([&] { pool().map(square, {1}, {.task_timeout = wrong}); });
    EXPECT_TRUE(contains(text, "task_timeout must be above 0")) << text;
  }
}

// --- the pool's own limit
// --------------------------------------------------------------------------------------------

TEST(PoolTaskTimeout, counts_for_calls_that_have_none) {
  EXPECT_THROW(pool().map(sleep_ms, {60'000}), TaskTimeout);
  EXPECT_THROW(pool().apply(sleep_ms, 60'000), TaskTimeout);
  EXPECT_EQ(pool().apply(square, 3), 9);
}

TEST(PoolTaskTimeout, ends_tasks_also_while_nobody_waits_for_them) {
  auto slow = pool().apply_async(sleep_ms, 60'000);
  EXPECT_TRUE(eventually([&] { return slow.ready(); }));
  EXPECT_THROW(std::move(slow).get(), TaskTimeout);
}

TEST(PoolTaskTimeout, gives_way_to_that_of_a_call) {
  EXPECT_EQ(pool().map(sleep_ms, {1500}, {.task_timeout = 30s}), std::vector{1500});
  EXPECT_EQ(pool().map(sleep_ms, {1500}, {.task_timeout = Seconds(std::numeric_limits<double>::infinity())}),
            std::vector{1500});
  const auto start = Clock::now();
  EXPECT_THROW(pool().map(sleep_ms, {60'000}, {.task_timeout = 20ms}), TaskTimeout);
  EXPECT_LT(Clock::now() - start, 10s);
}

// --- asking to stop
// --------------------------------------------------------------------------------------------------

/// Runs until nobody waits for it.
int run_until_asked(const std::string& path, int i) {
  append_line(path, "1");
  const auto deadline = Clock::now() + far_too_long;
  while (!rankpool::this_task::stop_requested()) {
    if (Clock::now() > deadline) throw std::runtime_error("nobody asked the task to stop");
    std::this_thread::sleep_for(1ms);
  }
  append_line(path, "2");
  return i;
}

TEST(StopRequested, is_false_as_long_as_somebody_waits) {
  const auto asked = pool().map([](int) { return rankpool::this_task::stop_requested(); }, numbers(100));
  EXPECT_EQ(asked, std::vector<bool>(100, false));
}

TEST(StopRequested, turns_true_when_the_calls_time_is_over) {
  const ScratchFile file;
  const auto tasks = numbers(pool().processes());
  EXPECT_THROW(pool().map(rankpool::bind(run_until_asked, file.path()), tasks, {.chunksize = 1, .timeout = 1s}),
               TimeoutError);
  const auto heard = [&file](int what) { return file.numbers<std::multiset<int>>().count(what); };
  EXPECT_TRUE(eventually([&] { return heard(2) == heard(1); }));
  EXPECT_GE(heard(2), 1U);
  // The next call's tasks are not meant.
  EXPECT_FALSE(pool().apply([] { return rankpool::this_task::stop_requested(); }));
}

TEST(StopRequested, turns_true_when_a_running_call_is_cancelled) {
  const ScratchFile file;
  auto call =
      pool().map_async(rankpool::bind(run_until_asked, file.path()), numbers(1 + pool().processes()), {.chunksize = 1});
  const auto heard = [&file](int what) { return file.numbers<std::multiset<int>>().count(what); };
  EXPECT_TRUE(eventually([&] { return heard(1) >= 1; }));
  EXPECT_TRUE(call.cancel());
  EXPECT_TRUE(eventually([&] { return heard(2) >= 1 && heard(2) == heard(1); }));
}

TEST(StopRequested, comes_before_the_end_of_a_limit_that_is_longer) {
  const ScratchFile file;
  EXPECT_THROW(pool().map(rankpool::bind(run_until_asked, file.path()), {0}, {.task_timeout = 50s, .timeout = 1s}),
               TimeoutError);
  EXPECT_TRUE(eventually([&] { return file.numbers<std::multiset<int>>().count(2) == 1; }));
}

}  // namespace

int main(int argc, char** argv) {
  const int cases = run_cases(argc, argv, "*-PoolTaskTimeout.*");
  const int pools = run_cases(argc, argv, "PoolTaskTimeout.*", {.task_timeout = 500ms});
  return cases != 0 ? cases : pools;
}
