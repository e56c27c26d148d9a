// The channel's memory as the leader deals it out; the sizes are what executors ask for.
#include "host/arena.hpp"

#include <limits>
#include <system_error>

#include <gtest/gtest.h>

#include "host/channel.hpp"

namespace {

using namespace rankpool::host;  // NOLINT(google-build-using-namespace)

TEST(Arena, has_no_room_for_absurd_sizes) {
  Channel channel({.slot_ranks = {0}, .slot_members = {0}, .settings = {}, .reservation = std::size_t{16} << 20U});
  Arena arena(channel.memory(), channel.arena_begin());
  for (const std::size_t bytes :
       {std::numeric_limits<std::size_t>::max(),  // a multiple of no page: rounds up to 0
        std::numeric_limits<std::size_t>::max() - 4095, std::size_t{1} << 60U, channel.memory().size()}) {
    EXPECT_THROW((void)arena.allocate(bytes), std::system_error) << bytes;
  }
  EXPECT_EQ(arena.blocks(), 0U);
  const std::uint64_t block = arena.allocate(100);
  EXPECT_GE(block, channel.arena_begin());
  arena.release(block);
  EXPECT_EQ(arena.blocks(), 0U);
}

}  // namespace
