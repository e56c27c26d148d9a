// Whom the leader wakes for work: as few as can do it, and never none.
#include "host/lot_board.hpp"

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace rankpool::host {
namespace {

/// A channel whose executors are what the test says of them.
class Node {
 public:
  explicit Node(std::uint32_t executors, std::uint64_t max_tasks_per_child = 0)
      : channel(config(executors, max_tasks_per_child)), board(channel) {
    for (std::uint32_t i = 0; i < executors; ++i) {
      board.note_serving();
      fall_asleep(i);
    }
  }

  void fall_asleep(std::uint32_t executor) { channel.header().sleepers.insert(executor); }
  void wake_up(std::uint32_t executor) { channel.header().sleepers.erase(executor); }
  [[nodiscard]] std::uint32_t asleep() { return channel.header().sleepers.size(channel.slots()); }
  [[nodiscard]] std::uint32_t rings(std::uint32_t executor) { return channel.slot(executor).bell.rings.load(); }

  void post(std::uint64_t tasks) {
    Lot lot;
    lot.id = ++last_lot_;
    lot.call = 1;
    lot.count = tasks;
    board.post(lot, 0);
  }
  /// An executor takes the next task of the lot in this slot.
  void claim(std::uint32_t lot_slot) { channel.header().lots[lot_slot].claim.fetch_add(1); }

  Channel channel;
  LotBoard board;

 private:
  static Channel::Config config(std::uint32_t executors, std::uint64_t max_tasks_per_child) {
    Channel::Config config;
    config.slot_ranks.resize(executors);
    config.slot_members.resize(executors);
    config.settings.max_tasks_per_child = max_tasks_per_child;
    config.reservation = std::size_t{16} << 20U;
    return config;
  }

  LotId last_lot_ = 0;
};

TEST(LotBoard, puts_up_more_lots_than_it_has_slots_where_those_before_have_been_claimed) {
  Node node(1);
  for (std::uint32_t lot = 0; lot < max_lots; ++lot) node.post(2);
  node.post(3);  // waits for a slot
  node.claim(5), node.claim(5);
  node.board.park_for_waiting();
  EXPECT_EQ(node.channel.header().lots[5].lot.load(), max_lots + 1);
  EXPECT_TRUE(node.board.has_begun(6));
  EXPECT_TRUE(node.board.is_exhausted(6));
  EXPECT_FALSE(node.board.has_begun(max_lots + 1));
  EXPECT_TRUE(node.board.settle(6, 0, 1));
  EXPECT_FALSE(node.board.settle(6, 0, 1));
  ASSERT_NE(node.board.account_of(6), nullptr);
  EXPECT_EQ(node.board.account_of(6)->outstanding(), 1U);
  EXPECT_TRUE(node.board.settle(6, 1, 1));
  EXPECT_EQ(node.board.account_of(6), nullptr);
  EXPECT_EQ(node.board.take_back(6).count, 0U);
  EXPECT_EQ(node.board.take_back(max_lots + 1).count, 3U);
}

TEST(LotBoard, lets_no_executor_claim_the_next_lot_in_a_slot_by_what_it_read_of_the_last) {
  Node node(1);
  for (std::uint32_t lot = 0; lot < max_lots; ++lot) node.post(1);
  auto& claim = node.channel.header().lots[0].claim;
  std::uint64_t stale = claim.load();
  node.claim(0);
  node.post(1);
  node.board.park_for_waiting();
  EXPECT_EQ(node.channel.header().lots[0].lot.load(), max_lots + 1);
  EXPECT_FALSE(claim.compare_exchange_strong(stale, stale + 1));
  EXPECT_FALSE(node.board.has_begun(max_lots + 1));
}

TEST(LotBoard, leaves_a_slot_to_its_lot_while_an_executor_has_yet_to_say_what_it_has_claimed) {
  Node node(2);
  for (std::uint32_t lot = 0; lot < max_lots; ++lot) node.post(1);
  node.post(1);
  node.channel.slot(1).claiming = 1;
  node.claim(0);
  node.board.park_for_waiting();
  EXPECT_EQ(node.channel.header().lots[0].lot.load(), 1U);
  node.channel.slot(1).chunk_end = 1;
  node.board.park_for_waiting();
  EXPECT_EQ(node.channel.header().lots[0].lot.load(), max_lots + 1);
}

TEST(LotBoard, counts_the_tasks_for_which_nobody_is_there) {
  Node node(2);
  node.wake_up(0), node.wake_up(1);
  node.post(3);
  EXPECT_EQ(node.board.unattended_tasks(), 1U);  // two executors look for work
  node.claim(0);
  EXPECT_EQ(node.board.unattended_tasks(), 1U);  // one looks for work
  node.claim(0);
  EXPECT_EQ(node.board.unattended_tasks(), 1U);
  node.claim(0);
  EXPECT_EQ(node.board.unattended_tasks(), 0U);
}

TEST(LotBoard, wakes_as_many_as_there_are_tasks) {
  Node node(4);
  node.post(1);
  EXPECT_EQ(node.asleep(), 3U);
  EXPECT_EQ(node.rings(0), 1U);
  node.post(2);
  EXPECT_EQ(node.asleep(), 1U);
  node.post(100);
  EXPECT_EQ(node.asleep(), 0U);
}

TEST(LotBoard, wakes_nobody_for_a_task_that_one_who_is_awake_will_find) {
  Node node(3);
  node.wake_up(1);
  node.post(1);
  EXPECT_EQ(node.asleep(), 2U);
  node.post(1);
  EXPECT_EQ(node.asleep(), 1U);
}

TEST(LotBoard, wakes_another_one_while_who_is_awake_has_a_task) {
  Node node(3);
  node.post(1);
  node.claim(0);
  node.post(1);
  EXPECT_EQ(node.asleep(), 1U);
}

TEST(LotBoard, takes_one_that_has_told_of_its_task_for_free) {
  Node node(3);
  node.post(1);
  node.claim(0);
  ASSERT_TRUE(node.board.settle(1, 0, 1));
  node.post(1);
  EXPECT_EQ(node.asleep(), 2U);
}

TEST(LotBoard, wakes_another_one_when_who_was_woken_has_died) {
  Node node(2);
  node.post(1);
  ASSERT_EQ(node.asleep(), 1U);
  node.board.note_gone();
  node.board.wake_executors();
  EXPECT_EQ(node.asleep(), 0U);
}

TEST(LotBoard, does_not_count_on_one_that_may_be_about_to_leave) {
  Node node(2, 10);
  node.wake_up(0);
  node.post(1);
  EXPECT_EQ(node.asleep(), 0U);
}

TEST(LotBoard, counts_on_those_that_look_before_they_sleep) {
  Node node(2, 10);
  node.wake_up(0);
  node.channel.header().spinners.insert(0);
  node.post(1);
  EXPECT_EQ(node.asleep(), 1U);
}

TEST(LotBoard, can_wake_for_tasks_that_one_who_stands_still_does_not_take) {
  Node node(3);
  node.wake_up(1);
  node.post(1);
  ASSERT_EQ(node.asleep(), 2U);
  node.board.wake_for_all_unclaimed();
  EXPECT_EQ(node.asleep(), 1U);
  node.claim(0);
  node.board.wake_for_all_unclaimed();
  EXPECT_EQ(node.asleep(), 1U);
}

}  // namespace
}  // namespace rankpool::host
