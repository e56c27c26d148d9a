// The size of a stream's buffer where the caller leaves it to the pool.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <ranges>
#include <string>

#include <gtest/gtest.h>

#include <rankpool/detail/stream_sizes.hpp>
#include <rankpool/rankpool.hpp>

#include "counting.hpp"
#include "stream_helpers.hpp"
#include "stream_pool.hpp"
#include "tasks.hpp"

using namespace std::chrono_literals;
using namespace rankpool::test;

using rankpool::detail::Amount;
using rankpool::detail::ReadAhead;
using rankpool::detail::RoundSize;

namespace {

// --- the policy ------------------------------------------------------------------------------------------------------

constexpr std::uint64_t least = 32;
constexpr std::uint64_t most = 1U << 16U;

/// A stream whose clock and items are made up.
class MadeUp {
 public:
  explicit MadeUp(const ReadAhead& ahead = ReadAhead::automatic(least, most, 24)) : ahead_(ahead) {
    ahead_.learn(0, drawn_, arrived_, now_);
  }

  struct Item {
    ReadAhead::Clock::duration time = 1us;
    ReadAhead::Clock::duration waiting = 1us;  ///< of that time
    std::uint64_t input_bytes = 8;
    std::uint64_t result_bytes = 8;
  };

  /// Reads items, and tells of it after each eighth of the buffer.
  void read(std::uint64_t items, const Item& item) {
    for (std::uint64_t i = 0; i < items; ++i) {
      ++read_;
      now_ += item.time;
      ahead_.waited(item.waiting);
      drawn_ = {drawn_.tasks + 1, drawn_.bytes + item.input_bytes};
      arrived_ = {arrived_.tasks + 1, arrived_.bytes + item.result_bytes};
      if (++untold_ < std::max<std::uint64_t>(size() / 8, 1)) continue;
      untold_ = 0;
      ahead_.learn(read_, drawn_, arrived_, now_);
    }
  }

  [[nodiscard]] std::uint64_t size() const { return ahead_.size(); }

 private:
  ReadAhead ahead_;
  ReadAhead::Clock::time_point now_{1h};
  std::uint64_t read_ = 0;
  std::uint64_t untold_ = 0;
  Amount drawn_;
  Amount arrived_;
};

TEST(ReadAhead, of_a_given_size_never_changes) {
  MadeUp stream(ReadAhead::fixed(100));
  stream.read(100'000, {.time = 1us, .waiting = 1us});
  EXPECT_EQ(stream.size(), 100U);
  stream.read(100, {.time = 1s, .waiting = 1s, .input_bytes = 1U << 20U});
  EXPECT_EQ(stream.size(), 100U);
}

TEST(ReadAhead, grows_until_the_items_ahead_take_some_milliseconds) {
  MadeUp stream;
  EXPECT_EQ(stream.size(), least);
  stream.read(least, {});
  EXPECT_EQ(stream.size(), 2 * least);
  stream.read(200'000, {});
  EXPECT_GE(stream.size() * 1us, ReadAhead::target / 2);
  EXPECT_LE(stream.size() * 1us, ReadAhead::target);
}

TEST(ReadAhead, grows_within_a_few_turnovers) {
  MadeUp stream;
  stream.read(2 * 4096, {});
  EXPECT_GE(stream.size(), 4096U);
}

TEST(ReadAhead, ends_to_grow_at_its_most) {
  MadeUp stream;
  stream.read(10 * most, {.time = 10ns, .waiting = 5ns});
  EXPECT_EQ(stream.size(), most);
}

TEST(ReadAhead, does_not_grow_while_the_reader_finds_results) {
  MadeUp stream;
  stream.read(100'000, {.time = 1us, .waiting = 0us});
  EXPECT_EQ(stream.size(), least);
  stream.read(100'000, {.time = 1us, .waiting = 50ns});
  EXPECT_EQ(stream.size(), least);
}

TEST(ReadAhead, does_not_grow_for_slow_tasks) {
  MadeUp stream;
  stream.read(10 * least, {.time = 1ms, .waiting = 1ms});
  EXPECT_EQ(stream.size(), least);
}

TEST(ReadAhead, falls_back_when_tasks_become_slow) {
  MadeUp stream;
  stream.read(100'000, {});
  EXPECT_GT(stream.size(), 1000U);
  stream.read(stream.size() / 2, {.time = 20us, .waiting = 20us});
  EXPECT_LE(stream.size(), 1000U);
  EXPECT_GT(stream.size(), least);
  stream.read(2000, {.time = 1ms, .waiting = 1ms});
  EXPECT_EQ(stream.size(), least);
}

TEST(ReadAhead, falls_back_at_once_when_the_reader_pauses) {
  MadeUp stream;
  stream.read(100'000, {});
  EXPECT_GT(stream.size(), 1000U);
  stream.read(stream.size() / 8, {.time = 1s, .waiting = 0s});
  EXPECT_EQ(stream.size(), least);
  stream.read(100'000, {});
  EXPECT_GT(stream.size(), 1000U);
}

TEST(ReadAhead, grows_to_a_few_megabytes) {
  for (const bool input : {true, false}) {
    MadeUp stream;
    stream.read(
        100'000,
        {.time = 100ns, .waiting = 100ns, .input_bytes = input ? 4096U : 0U, .result_bytes = input ? 0U : 4096U});
    EXPECT_LE(stream.size() * 4096, ReadAhead::most_bytes);
    EXPECT_GE(stream.size() * 4096, ReadAhead::most_bytes / 2);
  }
}

TEST(ReadAhead, falls_back_when_items_become_large) {
  for (const bool input : {true, false}) {
    MadeUp stream;
    stream.read(100'000, {});
    EXPECT_GT(stream.size(), 1000U);
    stream.read(stream.size() / 8, {.input_bytes = input ? 1U << 20U : 8U, .result_bytes = input ? 8U : 1U << 20U});
    EXPECT_EQ(stream.size(), least);
  }
}

TEST(ReadAhead, keeps_what_it_starts_with_however_large) {
  constexpr std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();
  MadeUp stream(ReadAhead::automatic(huge, most, 24));
  stream.read(1000, {.input_bytes = 1U << 20U});
  EXPECT_EQ(stream.size(), huge);
  EXPECT_EQ(ReadAhead::automatic(2 * most, most, 24).size(), 2 * most);
}

TEST(RoundSize, of_quick_inputs_grows_to_its_most) {
  RoundSize round(0);
  EXPECT_EQ(round.within(most), 1U);
  for (int i = 0; i < 10; ++i) round.learn(round.within(most), 1us);
  EXPECT_EQ(round.within(most), RoundSize::most);
  EXPECT_EQ(round.within(10), 10U);
  round.learn(RoundSize::most, 5s);
  EXPECT_EQ(round.within(most), 1U);
}

TEST(RoundSize, is_a_chunk_at_least) {
  RoundSize round(300);
  EXPECT_EQ(round.within(most), 300U);
  for (int i = 0; i < 10; ++i) round.learn(round.within(most), 1us);
  EXPECT_EQ(round.within(most), RoundSize::most / 300 * 300);
  round.learn(RoundSize::most / 300 * 300, 1s);
  EXPECT_EQ(round.within(most), 300U);
  EXPECT_EQ(RoundSize(5000).within(most), 5000U);
}

// --- streams ---------------------------------------------------------------------------------------------------------

constexpr int start = 32;  // of a pool of two

/// Reads items and @returns how many inputs were drawn ahead of them, at most.
template <class Stream>
int most_ahead(Stream& stream, const Source& source, int items, const auto& between) {
  int ahead = 0;
  for (int x = 0; x < items; ++x) {
    EXPECT_EQ(stream.next(), x);
    ahead = std::max(ahead, source.drawn() - x - 1);
    between(x);
  }
  return ahead;
}

TEST(BufferGrowth, gives_a_fast_reader_of_quick_tasks_more_inputs_ahead) {
  Streams streams;
  Source source;
  auto stream = streams.pool.imap(same, source);
  EXPECT_LE(source.drawn(), start);
  const int ahead = most_ahead(stream, source, 200'000, [](int) {});
  EXPECT_GT(ahead, start);
  EXPECT_LE(ahead, 512 * streams.pool.processes());
}

TEST(BufferGrowth, leaves_a_given_size_as_it_is) {
  Streams streams;
  Source source;
  auto stream = streams.pool.imap(same, source, {.buffersize = 20});
  EXPECT_LE(most_ahead(stream, source, 50'000, [](int) {}), 20);
}

TEST(BufferGrowth, leaves_a_slow_reader_where_it_starts) {
  Streams streams;
  Source source;
  auto stream = streams.pool.imap(same, source);
  const auto slow = [&streams](int) {
    while (streams.core->step()) {
    }
  };
  slow(0);  // so that it never has to wait
  EXPECT_LE(most_ahead(stream, source, 50'000, slow), start);
}

TEST(BufferGrowth, of_large_items_does_not_happen) {
  Streams streams;
  Source source;
  const auto large = [](int x) { return std::string(1U << 20U, static_cast<char>('a' + x % 26)); };
  auto stream = streams.pool.imap(large, source);
  for (int x = 0; x < 200; ++x) {
    EXPECT_EQ(stream.next()->front(), static_cast<char>('a' + x % 26));
    EXPECT_LE(source.drawn() - x - 1, start);
  }
}

}  // namespace
