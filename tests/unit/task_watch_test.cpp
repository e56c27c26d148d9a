#include "host/task_watch.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace {

using namespace std::chrono_literals;
using rankpool::host::Progress;
using rankpool::host::TaskWatch;

constexpr rankpool::host::CallId call = 7;

struct TaskWatchTest : testing::Test {
  TaskWatch watch{2};
  TaskWatch::Clock::time_point now = TaskWatch::Clock::now() + 1h;
  Progress first{100, 0};
  Progress second{100, 1};

  bool after(std::chrono::nanoseconds time, Progress progress) {
    now += time;
    return watch.exceeds(0, progress, 1s, now);
  }
};

TEST_F(TaskWatchTest, a_task_exceeds_its_limit_when_it_was_seen_for_longer) {
  EXPECT_FALSE(after(0s, first));
  EXPECT_FALSE(after(900ms, first));
  EXPECT_FALSE(after(100ms, first)) << "not yet longer";
  EXPECT_TRUE(after(1ns, first));
  EXPECT_TRUE(after(1s, first)) << "still";
}

TEST_F(TaskWatchTest, the_next_task_has_a_time_of_its_own) {
  EXPECT_FALSE(after(0s, first));
  EXPECT_FALSE(after(900ms, second));
  EXPECT_FALSE(after(900ms, {200, 0}));
  EXPECT_FALSE(after(900ms, {200, Progress::no_run}));
  EXPECT_FALSE(after(1s, {200, Progress::no_run}));
  EXPECT_TRUE(after(1ns, {200, Progress::no_run}));
}

TEST_F(TaskWatchTest, time_in_which_the_executor_was_passed_over_does_not_count) {
  EXPECT_FALSE(after(0s, first));
  watch.pass_over(0);
  EXPECT_FALSE(after(10s, first));
  EXPECT_TRUE(after(1001ms, first));
}

TEST_F(TaskWatchTest, executors_are_watched_each_by_itself) {
  EXPECT_FALSE(after(0s, first));
  EXPECT_FALSE(watch.exceeds(1, first, 1s, now + 900ms));
  EXPECT_TRUE(watch.exceeds(0, first, 1s, now + 1100ms));
  EXPECT_FALSE(watch.exceeds(1, first, 1s, now + 1100ms));
}

TEST_F(TaskWatchTest, nothing_is_due_without_a_call_that_has_a_limit) {
  EXPECT_FALSE(watch.active());
  EXPECT_GT(watch.until_next_round(now), 24h);
  watch.open_call(call, 1s);
  EXPECT_TRUE(watch.active());
  EXPECT_LE(watch.until_next_round(TaskWatch::Clock::now()), 100ms);
  watch.close_call(call + 1);
  EXPECT_TRUE(watch.active());
  watch.close_call(call);
  EXPECT_FALSE(watch.active());
  EXPECT_GT(watch.until_next_round(now), 24h);
}

TEST_F(TaskWatchTest, calls_that_come_and_go_do_not_put_rounds_off) {
  watch.open_call(call, 1s);
  const auto due = TaskWatch::Clock::now() + 100ms;
  for (rankpool::host::CallId id = 100; id < 200; ++id) {
    watch.open_call(id, 1s);
    watch.close_call(id);
  }
  EXPECT_TRUE(watch.start_round(due));
}

TEST_F(TaskWatchTest, knows_the_limits_of_open_calls) {
  watch.open_call(call, 1s);
  EXPECT_EQ(watch.limit(call), std::chrono::nanoseconds(1s));
  EXPECT_EQ(watch.limit(call + 1), std::nullopt);
  watch.close_call(call);
  EXPECT_EQ(watch.limit(call), std::nullopt);
}

TEST_F(TaskWatchTest, rounds_come_a_quarter_of_the_shortest_limit_apart_within_bounds) {
  const auto interval = [this] {
    EXPECT_TRUE(watch.start_round(now));
    EXPECT_FALSE(watch.start_round(now));
    const auto until = watch.until_next_round(now);
    EXPECT_FALSE(watch.start_round(now + until - 1ns));
    now += until;
    return until;
  };
  watch.open_call(call, 1h);
  EXPECT_EQ(interval(), 100ms);
  watch.open_call(call + 1, 80ms);
  EXPECT_TRUE(watch.start_round(now));
  now += watch.until_next_round(now);
  EXPECT_EQ(interval(), 20ms);
  watch.close_call(call + 1);
  EXPECT_EQ(interval(), 100ms);
  watch.open_call(call + 2, 1ns);
  now += watch.until_next_round(now);
  EXPECT_EQ(interval(), 1ms);
}

TEST_F(TaskWatchTest, a_round_comes_just_when_a_limit_is_over) {
  watch.open_call(call, 1s);
  ASSERT_TRUE(watch.start_round(now));
  EXPECT_FALSE(after(0s, first));
  now += 950ms;
  ASSERT_TRUE(watch.start_round(now));
  EXPECT_FALSE(after(0s, first));
  EXPECT_EQ(watch.until_next_round(now), 50ms);
}

}  // namespace
