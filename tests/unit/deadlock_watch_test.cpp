// Who waits in vain is found, at the second look, and nobody else.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "master/deadlock_watch.hpp"

namespace {

using rankpool::master::DeadlockWatch;
using Wait = DeadlockWatch::Wait;
using Waits = std::vector<Wait>;

Wait waits(rankpool::shared::ParticipantId who, rankpool::shared::ParticipantId holder, std::uint64_t ticket = 1) {
  return {.who = who, .task = who, .place = 64, .ticket = ticket, .object = "lock 1", .holder = holder};
}

std::vector<rankpool::shared::ParticipantId> found(DeadlockWatch& watch, const Waits& waits,
                                                   std::optional<std::uint64_t> idle_since = {}) {
  std::vector<rankpool::shared::ParticipantId> who;
  for (const Wait& wait : watch.look(waits, idle_since)) who.push_back(wait.who);
  return who;
}
using Ids = std::vector<rankpool::shared::ParticipantId>;

TEST(DeadlockWatch, finds_those_in_a_ring_and_not_those_who_wait_for_it) {
  DeadlockWatch watch;
  // 1 -> 2 -> 3 -> 1, and 4 -> 1.
  const Waits all{waits(1, 2), waits(2, 3), waits(3, 1), waits(4, 1)};
  EXPECT_EQ(found(watch, all), Ids());
  EXPECT_EQ(found(watch, all), (Ids{1, 2, 3}));
}

TEST(DeadlockWatch, looks_again_soon_where_it_has_found_some_and_ever_later_where_it_finds_none) {
  using namespace std::chrono_literals;
  DeadlockWatch watch;
  const Waits ring{waits(1, 2), waits(2, 1)};
  DeadlockWatch::Clock::time_point now{1h};
  ASSERT_TRUE(watch.is_due(now));
  watch.look(ring, {});
  EXPECT_FALSE(watch.is_due(now + 99ms));
  EXPECT_TRUE(watch.is_at_rest());
  ASSERT_TRUE(watch.is_due(now += 100ms));
  ASSERT_FALSE(watch.look(ring, {}).empty());
  EXPECT_FALSE(watch.is_at_rest());
  EXPECT_EQ(watch.pause(), 2ms);
  EXPECT_FALSE(watch.is_due(now + 1ms));
  auto last = 0ms - 0ns;
  const auto since = now;
  for (auto pause = watch.pause(); !watch.is_at_rest(); pause = watch.pause()) {
    EXPECT_GT(pause, last);
    last = pause;
    ASSERT_TRUE(watch.is_due(now += pause));
    EXPECT_TRUE(watch.look({}, {}).empty());
  }
  EXPECT_GT(now - since, 200ms);
  EXPECT_EQ(watch.pause(), 100ms);
}

TEST(DeadlockWatch, finds_nobody_while_a_holder_goes_on) {
  DeadlockWatch watch;
  const Waits all{waits(1, 2), waits(2, 3)};
  for (int look = 0; look < 3; ++look) EXPECT_EQ(found(watch, all), Ids());
}

TEST(DeadlockWatch, finds_all_where_nobody_goes_on) {
  DeadlockWatch watch;
  const Waits all{waits(1, 0), waits(7, 1)};
  EXPECT_EQ(found(watch, all, 7), Ids());
  EXPECT_EQ(found(watch, all, 7), (Ids{1, 7}));
}

TEST(DeadlockWatch, finds_nobody_where_something_has_been_done_since_the_last_look) {
  DeadlockWatch watch;
  const Waits all{waits(1, 0), waits(7, 1)};
  EXPECT_EQ(found(watch, all, 7), Ids());
  EXPECT_EQ(found(watch, all, 8), Ids());
  EXPECT_EQ(found(watch, all), Ids());
  EXPECT_EQ(found(watch, all, 9), Ids());
  EXPECT_EQ(found(watch, all, 9), (Ids{1, 7}));
}

TEST(DeadlockWatch, finds_nobody_where_one_has_gone_on_between_two_looks) {
  DeadlockWatch watch;
  EXPECT_EQ(found(watch, {waits(1, 2), waits(2, 1)}), Ids());
  EXPECT_EQ(found(watch, {waits(1, 2, 5), waits(2, 1)}), Ids());
  EXPECT_EQ(found(watch, {}), Ids());
  EXPECT_EQ(found(watch, {waits(1, 2, 5), waits(2, 1)}), Ids());
  EXPECT_EQ(found(watch, {waits(1, 2, 5), waits(2, 1)}), (Ids{1, 2}));
}

TEST(DeadlockWatch, a_ring_of_one_elsewhere_and_a_holder_who_is_nobody_make_no_end) {
  DeadlockWatch watch;
  const Waits all{waits(1, 0), waits(2, 2), waits(3, 2)};
  found(watch, all);
  EXPECT_EQ(found(watch, all), Ids{2});
}

TEST(DeadlockWatch, describes_who_waits_and_who_holds) {
  const auto name = [](const Wait& wait) { return "task " + std::to_string(wait.who); };
  EXPECT_EQ(DeadlockWatch::describe({waits(1, 2), waits(2, 1)}, name),
            "task 1 waits for lock 1, held by task 2; task 2 waits for lock 1, held by task 1");
  EXPECT_EQ(DeadlockWatch::describe({waits(5, 0)}, name), "task 5 waits for lock 1");
  Waits many;
  for (rankpool::shared::ParticipantId i = 1; i <= 20; ++i) many.push_back(waits(i, 0));
  EXPECT_TRUE(DeadlockWatch::describe(many, name).ends_with("task 8 waits for lock 1; and 12 more"));
}

}  // namespace
