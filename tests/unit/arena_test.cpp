// The channel's memory as the leader deals it out; the sizes are what executors ask for.
#include "host/arena.hpp"

#include <iterator>
#include <limits>
#include <map>
#include <random>
#include <regex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <sys/stat.h>

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

Channel::Config small_channel() {
  return {.slot_ranks = {0}, .slot_members = {0}, .settings = {}, .reservation = std::size_t{16} << 20U};
}

TEST(Channel, that_is_too_small_says_what_would_do) {
  Channel::Config config = small_channel();
  config.reservation = 4096;
  std::string text;
  try {
    const Channel channel(config);
  } catch (const std::runtime_error& error) {
    text = error.what();
  }
  std::smatch found;
  ASSERT_TRUE(
      std::regex_search(text, found, std::regex("RANKPOOL_CHANNEL_MB is too small for 1 executor: ([0-9]+) MB")))
      << text;
  config.reservation = std::stoul(found[1]) << 20U;
  EXPECT_NO_THROW(const Channel channel(config));
}

TEST(Arena, gives_the_page_freed_last_first) {
  Channel channel(small_channel());
  Arena arena(channel.memory(), channel.arena_begin());
  const std::uint64_t first = arena.allocate(1);
  const std::uint64_t second = arena.allocate(4096);
  EXPECT_NE(first, second);
  arena.release(first);
  arena.release(second);
  EXPECT_EQ(arena.allocate(100), second);
  EXPECT_EQ(arena.allocate(100), first);
}

TEST(Arena, joins_free_pages_before_it_grows) {
  Channel channel(small_channel());
  Arena arena(channel.memory(), channel.arena_begin());
  constexpr std::size_t whole = std::size_t{1} << 20U;  // what it grows by
  const std::uint64_t begin = arena.allocate(whole);
  arena.release(begin);
  std::vector<std::uint64_t> pages(whole / 4096);
  for (std::uint64_t& page : pages) page = arena.allocate(4096);
  for (const std::uint64_t page : pages) arena.release(page);
  EXPECT_EQ(arena.allocate(whole), begin);
}

TEST(Arena, gives_back_what_a_single_page_stood_before) {
  Channel::Config config = small_channel();
  config.reservation = std::size_t{128} << 20U;
  Channel channel(config);
  Arena arena(channel.memory(), channel.arena_begin());
  std::vector<std::uint64_t> blocks(60);
  for (std::uint64_t& block : blocks) block = arena.allocate(std::size_t{1} << 20U);
  const std::uint64_t page = arena.allocate(4096);
  struct stat before {};
  struct stat after {};
  for (const std::uint64_t block : blocks) arena.release(block);
  ASSERT_EQ(fstat(channel.memory().file(), &before), 0);
  arena.release(page);
  ASSERT_EQ(fstat(channel.memory().file(), &after), 0);
  EXPECT_GE(before.st_blocks * 512, 60 << 20);
  EXPECT_LT(after.st_blocks * 512, 40 << 20);
}

TEST(Arena, ignores_what_is_no_block) {
  Channel channel(small_channel());
  Arena arena(channel.memory(), channel.arena_begin());
  const std::uint64_t block = arena.allocate(8192);
  for (const std::uint64_t other : {std::uint64_t{0}, block + 1, block + 4096, ~std::uint64_t{0}}) arena.release(other);
  EXPECT_EQ(arena.blocks(), 1U);
  arena.release(block);
  arena.release(block);
  EXPECT_EQ(arena.blocks(), 0U);
}

TEST(Arena, gives_blocks_that_do_not_overlap) {
  Channel channel(small_channel());
  Arena arena(channel.memory(), channel.arena_begin());
  std::mt19937 random(3);
  std::map<std::uint64_t, std::size_t> blocks;
  for (int round = 0; round < 20'000; ++round) {
    if (blocks.size() > 40 || (!blocks.empty() && random() % 2 == 0)) {
      const auto gone = std::next(blocks.begin(), static_cast<std::ptrdiff_t>(random() % blocks.size()));
      arena.release(gone->first);
      blocks.erase(gone);
      continue;
    }
    const std::size_t bytes = random() % 3 == 0 ? 1 + random() % 100'000 : 1 + random() % 5000;
    const auto [block, added] = blocks.emplace(arena.allocate(bytes), bytes);
    ASSERT_TRUE(added);
    if (const auto next = std::next(block); next != blocks.end()) {
      ASSERT_LE(block->first + bytes, next->first);
    }
    if (block != blocks.begin()) {
      ASSERT_LE(std::prev(block)->first + std::prev(block)->second, block->first);
    }
  }
  EXPECT_EQ(arena.blocks(), blocks.size());
}

}  // namespace
