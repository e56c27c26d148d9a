#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <numeric>
#include <thread>
#include <vector>

#include "master/piece_builder.hpp"

namespace {

using namespace std::chrono_literals;
using rankpool::master::BuiltPiece;
using rankpool::master::BuiltPieces;
using rankpool::master::PieceBuilder;

/// Blocks on the heap, counted.
class HeapMemory final : public rankpool::master::PieceMemory {
 public:
  std::uint64_t allocate(std::size_t bytes) override {
    blocks_[next_].resize(bytes);
    next_ += std::uint64_t{1} << 32U;
    return next_ - (std::uint64_t{1} << 32U);
  }
  void release(std::uint64_t offset) override { blocks_.erase(offset); }
  std::byte* at(std::uint64_t offset) override {
    const auto block = std::prev(blocks_.upper_bound(offset));
    return block->second.data() + (offset - block->first);
  }
  [[nodiscard]] std::size_t blocks() const { return blocks_.size(); }

 private:
  std::map<std::uint64_t, std::vector<std::byte>> blocks_;
  std::uint64_t next_ = std::uint64_t{1} << 32U;
};

/// Draws doubles 0, 1, ... below `end`, as a range does, each in `time`.
BuiltPieces draw_round(PieceBuilder& builder, std::uint64_t& at, std::uint64_t end,
                       std::chrono::milliseconds time = 0ms) {
  builder.start_round();
  for (std::uint64_t room = builder.room(); room > 0 && at < end; room = builder.room()) {
    const std::uint64_t count = std::min(room, end - at);
    if (time != 0ms) std::this_thread::sleep_for(time * static_cast<std::int64_t>(count));
    std::vector<double> values(count);
    std::iota(values.begin(), values.end(), static_cast<double>(at));
    std::memcpy(builder.append(count), values.data(), count * sizeof(double));
    at += count;
  }
  if (at == end) builder.finish();
  return builder.take();
}

std::vector<BuiltPiece> draw_all(PieceBuilder& builder, std::uint64_t end) {
  std::vector<BuiltPiece> pieces;
  for (std::uint64_t at = 0; at < end;) {
    for (const BuiltPiece& piece : draw_round(builder, at, end)) pieces.push_back(piece);
  }
  return pieces;
}

TEST(PieceBuilder, gives_every_task_once_and_in_order) {
  for (const std::uint64_t chunk : {1, 7, 1000}) {
    HeapMemory memory;
    PieceBuilder builder(memory, sizeof(double), chunk, 8);
    std::uint64_t next = 0;
    for (const BuiltPiece& piece : draw_all(builder, 100'000)) {
      EXPECT_EQ(piece.piece.first, next);
      for (std::uint64_t i = 0; i < piece.piece.count; ++i, ++next) {
        double value = -1;
        std::memcpy(&value, memory.at(piece.piece.data + i * sizeof value), sizeof value);
        ASSERT_EQ(value, static_cast<double>(next));
      }
      memory.release(piece.block);
    }
    EXPECT_EQ(next, 100'000U);
    EXPECT_EQ(memory.blocks(), 0U);
  }
}

TEST(PieceBuilder, makes_pieces_of_whole_chunks) {
  HeapMemory memory;
  PieceBuilder builder(memory, sizeof(double), 700, 8);
  const auto pieces = draw_all(builder, 70'001);
  ASSERT_GT(pieces.size(), 2U);
  for (std::size_t i = 0; i + 1 < pieces.size(); ++i) EXPECT_EQ(pieces[i].piece.count % 700, 0U) << i;
}

TEST(PieceBuilder, hands_over_the_first_task_of_an_input_that_comes_slowly) {
  HeapMemory memory;
  PieceBuilder builder(memory, sizeof(double), 1, 1000);
  std::uint64_t at = 0;
  const auto pieces = draw_round(builder, at, 5000, 5ms);
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_EQ(pieces[0].piece.count, 1U);
}

TEST(PieceBuilder, cuts_a_slow_inputs_first_piece_at_the_end_of_a_chunk) {
  HeapMemory memory;
  PieceBuilder builder(memory, sizeof(double), 3, 1000);
  std::uint64_t at = 0;
  const auto pieces = draw_round(builder, at, 5000, 2ms);
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_EQ(pieces[0].piece.count, 3U);
}

TEST(PieceBuilder, hands_over_what_it_has_when_the_input_becomes_slow_in_a_piece_of_many_tasks) {
  HeapMemory memory;
  PieceBuilder builder(memory, sizeof(double), 1, 16);
  std::uint64_t at = 0;
  std::uint64_t largest = 0;
  while (at < 20'000) {
    for (const BuiltPiece& piece : draw_round(builder, at, 100'000)) largest = std::max(largest, piece.piece.count);
  }
  ASSERT_GT(largest, 1024U);
  const auto pieces = draw_round(builder, at, 100'000, 2ms);
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_LE(pieces[0].piece.count, 1U);
}

TEST(PieceBuilder, releases_what_nobody_took) {
  HeapMemory memory;
  {
    PieceBuilder builder(memory, sizeof(double), 1, 8);
    builder.start_round();
    std::memset(builder.append(1), 0, sizeof(double));
  }
  EXPECT_EQ(memory.blocks(), 0U);
}

}  // namespace
