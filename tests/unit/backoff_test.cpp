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

TEST(Backoff, where_nobody_is_in_a_hurry_looks_as_often_as_there_is_news) {
  Backoff backoff;
  std::chrono::nanoseconds sleep = 0ns;
  const auto rest = [&](int looks) {
    for (int i = 0; i < looks; ++i) sleep = backoff.next(false);
  };
  rest(3);
  for (int i = 0; i < 30; ++i) backoff.ease(), rest(4);
  EXPECT_GT(sleep, Backoff::longest_sleep);
  EXPECT_LE(sleep, Backoff::calm_sleep);
  for (int i = 0; i < 30; ++i) backoff.ease(), rest(1);
  EXPECT_EQ(sleep, Backoff::shortest_sleep);
  for (int i = 0; i < 5; ++i) backoff.ease(), rest(4);
  EXPECT_GT(sleep, Backoff::shortest_sleep);
}

}  // namespace
