#include "host/fork_retry.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace {

using namespace std::chrono_literals;
using rankpool::host::ForkRetry;

struct ForkRetryTest : testing::Test {
  ForkRetry retry;
  ForkRetry::Clock::time_point now = ForkRetry::Clock::now();

  /// Lets time go on to the next round. @returns how long that was.
  std::chrono::nanoseconds next_round() {
    const auto pause = retry.until_next_round(now);
    EXPECT_FALSE(retry.start_round(now + pause - 1ns));
    now += pause;
    EXPECT_TRUE(retry.start_round(now));
    return pause;
  }
};

TEST_F(ForkRetryTest, nothing_is_planned_before_a_failure_and_after_the_finish) {
  EXPECT_FALSE(retry.planned());
  EXPECT_FALSE(retry.start_round(now + 1h));
  EXPECT_GT(retry.until_next_round(now), 24h);
  retry.failed(now);
  EXPECT_TRUE(retry.planned());
  retry.finish();
  EXPECT_FALSE(retry.planned());
  EXPECT_FALSE(retry.start_round(now + 1h));
}

TEST_F(ForkRetryTest, pauses_grow_up_to_a_limit) {
  retry.failed(now);
  EXPECT_EQ(next_round(), 100ms);
  EXPECT_EQ(next_round(), 200ms);
  EXPECT_EQ(next_round(), 400ms);
  for (int i = 0; i < 20; ++i) next_round();
  EXPECT_EQ(next_round(), 10s);
}

TEST_F(ForkRetryTest, failures_of_a_round_do_not_put_off_the_next) {
  retry.failed(now);
  next_round();
  retry.failed(now + 150ms);
  EXPECT_EQ(next_round(), 200ms);
}

TEST_F(ForkRetryTest, begins_anew_when_an_executor_was_forked) {
  retry.failed(now);
  for (int i = 0; i < 5; ++i) next_round();
  EXPECT_EQ(retry.rounds(), 5);
  retry.succeeded();
  EXPECT_EQ(retry.rounds(), 0);
  next_round();
  EXPECT_EQ(next_round(), 200ms);
}

TEST_F(ForkRetryTest, begins_anew_after_the_finish) {
  retry.failed(now);
  for (int i = 0; i < 5; ++i) next_round();
  retry.finish();
  retry.failed(now);
  EXPECT_EQ(retry.rounds(), 0);
  EXPECT_EQ(next_round(), 100ms);
}

TEST_F(ForkRetryTest, a_host_without_executors_is_given_up_within_a_second) {
  retry.failed(now);
  auto taken = 0ns;
  while (retry.rounds() < ForkRetry::rounds_without_any) taken += next_round();
  EXPECT_EQ(taken, 700ms);
}

}  // namespace
