// How long those who wait for messages sleep between two looks.
#include "transport/backoff.hpp"

#include <chrono>
#include <thread>

#include <gtest/gtest.h>

namespace {

using namespace std::chrono_literals;
using rankpool::transport::Backoff;

/// Lets the time of spinning pass. @returns how often it was to look again at once.
int spin_in_vain(Backoff& backoff) {
  int looks = 0;
  while (backoff.next() == 0ns) ++looks;
  return looks;
}

TEST(Backoff, looks_without_sleep_while_a_reply_may_come_soon) {
  Backoff backoff;
  const auto start = Backoff::Clock::now();
  EXPECT_GT(spin_in_vain(backoff), 0);
  EXPECT_GE(Backoff::Clock::now() - start, Backoff::spin);
}

TEST(Backoff, sleeps_at_once_where_others_want_the_cpu) {
  Backoff backoff;
  EXPECT_EQ(backoff.next(false), Backoff::shortest_sleep);
}

TEST(Backoff, stops_spinning_where_that_is_in_vain_again_and_again) {
  Backoff backoff;
  int vain = 0;
  for (; spin_in_vain(backoff) != 0 && vain < 100; ++vain) {
    backoff.reset();  // something came, but only after it had begun to sleep
  }
  EXPECT_GT(vain, 0);
  EXPECT_LT(vain, 20);
  backoff.expect_reply();
  EXPECT_EQ(backoff.next(), 0ns);
}

TEST(Backoff, goes_on_spinning_where_that_helps) {
  Backoff backoff;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(backoff.next(), 0ns);
    backoff.reset();
  }
}

TEST(Backoff, sleeps_longer_and_longer_and_longest_where_nothing_happens) {
  Backoff backoff;
  auto sleep = backoff.next(false);
  for (int i = 0; i < 10; ++i) {
    const auto next = backoff.next(false);
    EXPECT_GE(next, sleep);
    sleep = next;
  }
  EXPECT_EQ(sleep, Backoff::longest_sleep);
  std::this_thread::sleep_for(Backoff::patience);
  for (int i = 0; i < 10; ++i) sleep = backoff.next(false);
  EXPECT_EQ(sleep, Backoff::longest_idle_sleep);
  backoff.reset();
  EXPECT_EQ(backoff.next(false), Backoff::shortest_sleep);
}

TEST(Backoff, rests_where_nobody_is_in_a_hurry_until_somebody_is) {
  Backoff backoff;
  while (backoff.next(false) < Backoff::longest_sleep) {
  }
  backoff.ease();
  EXPECT_TRUE(backoff.is_calm());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(backoff.next(false), Backoff::calm_sleep);
  backoff.reset();
  EXPECT_FALSE(backoff.is_calm());
  EXPECT_EQ(backoff.next(false), Backoff::shortest_sleep);
}

TEST(Backoff, does_not_rest_while_it_spins_with_success_or_awaits_a_reply) {
  Backoff spinning;
  EXPECT_EQ(spinning.next(), 0ns);
  spinning.ease();
  EXPECT_FALSE(spinning.is_calm());

  Backoff attentive;
  attentive.expect_reply();
  while (attentive.next(false) == 0ns) {
  }
  attentive.ease();
  EXPECT_FALSE(attentive.is_calm());
}

}  // namespace
