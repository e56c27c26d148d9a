#include "host/start_retry.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace {

using namespace std::chrono_literals;
using rankpool::host::StartRetry;

struct StartRetryTest : testing::Test {
  StartRetry retry;
  StartRetry::Clock::time_point now = StartRetry::Clock::now();

  /// Lets time go on to the next round. @returns how long that was.
  std::chrono::nanoseconds next_round() {
    const auto pause = retry.until_next_round(now);
    EXPECT_FALSE(retry.start_round(now + pause - 1ns));
    now += pause;
    EXPECT_TRUE(retry.start_round(now));
    return pause;
  }
};

TEST_F(StartRetryTest, nothing_is_planned_before_a_failure_and_after_the_finish) {
  EXPECT_FALSE(retry.planned());
  EXPECT_FALSE(retry.start_round(now + 1h));
  EXPECT_GT(retry.until_next_round(now), 24h);
  retry.failed(now);
  EXPECT_TRUE(retry.planned());
  retry.finish();
  EXPECT_FALSE(retry.planned());
  EXPECT_FALSE(retry.start_round(now + 1h));
}

TEST_F(StartRetryTest, pauses_grow_up_to_a_limit) {
  retry.failed(now);
  EXPECT_EQ(next_round(), 100ms);
  EXPECT_EQ(next_round(), 200ms);
  EXPECT_EQ(next_round(), 400ms);
  for (int i = 0; i < 20; ++i) next_round();
  EXPECT_EQ(next_round(), 10s);
}

TEST_F(StartRetryTest, failures_of_a_round_do_not_put_off_the_next) {
  retry.failed(now);
  next_round();
  retry.failed(now + 150ms);
  EXPECT_EQ(next_round(), 200ms);
}

TEST_F(StartRetryTest, begins_anew_when_an_executor_was_started) {
  retry.failed(now);
  retry.none_left(now);
  for (int i = 0; i < 5; ++i) next_round();
  EXPECT_EQ(retry.rounds_without(), 5);
  retry.succeeded();
  EXPECT_EQ(retry.rounds_without(), 0);
  next_round();
  EXPECT_EQ(next_round(), 200ms);
}

TEST_F(StartRetryTest, begins_anew_after_the_finish) {
  retry.failed(now);
  retry.none_left(now);
  for (int i = 0; i < 5; ++i) next_round();
  retry.finish();
  EXPECT_EQ(retry.rounds_without(), 0);
  retry.failed(now);
  EXPECT_EQ(next_round(), 100ms);
}

TEST_F(StartRetryTest, a_host_without_executors_is_given_up_within_a_second) {
  retry.failed(now);
  retry.none_left(now);
  auto taken = 0ns;
  while (retry.rounds_without() < StartRetry::rounds_without_any) {
    taken += next_round();
    retry.failed(now);
    retry.none_left(now);
  }
  EXPECT_EQ(taken, 700ms);
}

TEST_F(StartRetryTest, rounds_count_from_when_the_last_executor_goes_and_come_soon_again) {
  retry.failed(now);
  for (int i = 0; i < 20; ++i) next_round();
  EXPECT_EQ(retry.rounds_without(), 0);
  EXPECT_EQ(retry.until_next_round(now), 10s);
  now += 1s;
  retry.none_left(now);
  EXPECT_EQ(retry.rounds_without(), 0);
  EXPECT_EQ(next_round(), 100ms);
  EXPECT_EQ(retry.rounds_without(), 1);
}

}  // namespace
