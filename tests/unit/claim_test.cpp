// What an executor claims of a lot, and gives back of it in the middle of a task.
#include "host/claim.hpp"

#include <cstdint>
#include <cstring>
#include <memory>

#include <gtest/gtest.h>

#include "host/lot_board.hpp"

namespace rankpool::host {
namespace {

/// A lot of ten tasks in chunks of five, on a node with two executors.
class Claim : public testing::Test {
 protected:
  Claim() : board_(channel_) {
    channel_.memory().commit(channel_.arena_begin(), sizeof(CallHeader));
    auto* image = new (channel_.at(channel_.arena_begin())) CallHeader{};
    image->chunksize = 5;
    Lot lot;
    lot.id = 7;
    lot.call = 1;
    lot.first = 100;
    lot.count = 10;
    lot.piece.data = channel_.arena_begin();
    lot.total = 10;
    lot.executors = 2;
    board_.post(lot, channel_.arena_begin());
  }

  [[nodiscard]] bool claim(Claimer& claimer) {
    return claimer.claim(100, [](std::uint64_t) { return std::uint64_t{0}; });
  }

  Channel channel_{{.slot_ranks = {0, 0},
                    .slot_members = {0, 0},
                    .members = 1,
                    .settings = {},
                    .reservation = std::size_t{16} << 20U}};
  LotBoard board_;
};

TEST_F(Claim, is_of_one_chunk_after_the_other) {
  Claimer one(channel_, 0);
  Claimer other(channel_, 1);
  ASSERT_TRUE(claim(one));
  ASSERT_TRUE(claim(other));
  EXPECT_EQ(one.chunk().first, 100U);
  EXPECT_EQ(one.chunk().count, 5U);
  EXPECT_EQ(other.chunk().first, 105U);
  one.finish_chunk();
  EXPECT_FALSE(claim(one));
}

TEST_F(Claim, gives_back_the_rest_and_says_so) {
  Claimer claimer(channel_, 1);
  ASSERT_TRUE(claim(claimer));
  EXPECT_TRUE(claimer.has_from(104));
  EXPECT_FALSE(claimer.has_from(105));
  ASSERT_TRUE(claimer.give_back(102));
  const ExecutorSlot& slot = channel_.slot(1);
  EXPECT_EQ(slot.returned_lot, 7U);
  EXPECT_EQ(slot.returned_first, 102U);
  EXPECT_EQ(slot.returned_end, 105U);
  EXPECT_EQ(slot.chunk_end, 102U);  // what a leader settles of it, should it die
  EXPECT_TRUE(channel_.header().returning.contains(1));
  EXPECT_NE(channel_.header().attention, 0U);
  EXPECT_FALSE(claimer.has_from(102));
}

TEST_F(Claim, keeps_the_next_rest_until_the_last_one_has_been_taken) {
  Claimer claimer(channel_, 0);
  ASSERT_TRUE(claim(claimer));
  ASSERT_TRUE(claimer.give_back(101));
  claimer.finish_chunk();
  ASSERT_TRUE(claim(claimer));
  EXPECT_FALSE(claimer.give_back(106));
  EXPECT_EQ(channel_.slot(0).returned_first, 101U);
  EXPECT_TRUE(claimer.has_from(106));
  channel_.header().returning.erase(0);
  EXPECT_TRUE(claimer.give_back(106));
  EXPECT_EQ(channel_.slot(0).returned_first, 106U);
}

}  // namespace
}  // namespace rankpool::host
