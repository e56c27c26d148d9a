// Streams of results: how far they draw ahead.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "counting.hpp"
#include "stream_helpers.hpp"
#include "tasks.hpp"

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::ResultStream;
using rankpool::TimeoutError;

namespace {

/// Has the stream draw all it may, however slow the machine is.
template <class R>
void draw_all(Streams& streams, ResultStream<R>& stream) {
  streams.core->allow_below(0);
  EXPECT_THROW((void)stream.next(60s), TimeoutError);  // at once: no task may run
  streams.core->allow_below(std::numeric_limits<std::uint64_t>::max());
}

// --- laziness --------------------------------------------------------------------------------------------------------

TEST(StreamBuffer, draws_no_further_ahead_than_buffersize) {
  constexpr int n = 24;
  for (const int buffersize : {1, 2, 3, n, 2 * n}) {
    for (const bool ordered : {true, false}) {
      for (const int chunksize : {1, 5}) {
        Streams streams(shuffled(7));
        Source source(n);
        const rankpool::MapOptions options{.buffersize = buffersize, .chunksize = chunksize};
        auto stream =
            ordered ? streams.pool.imap(square, source, options) : streams.pool.imap_unordered(square, source, options);
        EXPECT_GE(source.drawn(), 1);
        draw_all(streams, stream);
        EXPECT_EQ(source.drawn(), std::min(buffersize, n));
        std::vector<int> results;
        while (const std::optional<int> result = stream.next()) {
          results.push_back(*result);
          EXPECT_LE(source.drawn() - static_cast<int>(results.size()), buffersize);
        }
        std::ranges::sort(results);
        EXPECT_EQ(results, squares(n));
      }
    }
  }
}

TEST(StreamBuffer, draws_ahead_for_all_executors_by_default) {
  for (const int zero : {0, 1}) {
    Streams streams;
    Source source;
    const rankpool::MapOptions options = zero == 0 ? rankpool::MapOptions{} : rankpool::MapOptions{.buffersize = 0};
    auto stream = streams.pool.imap(same, source, options);
    draw_all(streams, stream);
    EXPECT_EQ(source.drawn(), 16 * streams.pool.processes());
  }
}

TEST(StreamBuffer, draws_two_chunks_for_each_executor_by_default) {
  Streams streams;
  Source source;
  auto stream = streams.pool.imap(same, source, {.chunksize = 1000});
  draw_all(streams, stream);
  EXPECT_EQ(source.drawn(), 2 * 1000 * streams.pool.processes());
  const std::vector<std::string> one{"a"};
  EXPECT_EQ(streams.pool.imap(shout, one, {.chunksize = std::numeric_limits<std::uint64_t>::max()}).next(), "a!");
  EXPECT_EQ(streams.pool.imap(shout, one, {.buffersize = std::numeric_limits<std::uint64_t>::max()}).next(), "a!");
}

TEST(StreamBuffer, draws_several_inputs_at_a_time) {
  Streams streams;
  auto stream = streams.pool.imap(same, numbers(100), {.buffersize = 16, .chunksize = 16});
  for (int x = 0; x < 60; ++x) EXPECT_EQ(stream.next(), x);
  EXPECT_GE(streams.core->feeds().size(), 5U);
  for (const std::uint64_t feed : streams.core->feeds()) EXPECT_GE(feed, 4U);
}

TEST(StreamBuffer, draws_whole_chunks_where_there_is_room) {
  Streams streams;
  auto stream = streams.pool.imap(same, numbers(1000), {.buffersize = 400, .chunksize = 7});
  for (int x = 0; x < 500; ++x) EXPECT_EQ(stream.next(), x);
  int whole = 0;
  for (const std::uint64_t feed : streams.core->feeds()) whole += feed % 7 == 0 ? 1 : 0;
  EXPECT_GE(whole, 3);
  for (const std::uint64_t feed : streams.core->feeds()) EXPECT_TRUE(feed < 7 || feed % 7 == 0) << feed;
}

TEST(StreamBuffer, draws_all_it_may_before_it_waits) {
  Streams streams;
  auto stream = streams.pool.imap(same, numbers(100), {.buffersize = 16});  // one result at a time
  draw_all(streams, stream);
  EXPECT_EQ(stream.next(), 0);
  EXPECT_EQ(streams.core->waiting_chunks(), 15U);
  EXPECT_EQ(stream.next(), 1);
  EXPECT_EQ(streams.core->feeds().back(), 1U);
}

TEST(StreamBuffer, draws_the_next_input_before_it_hands_a_result_over) {
  Streams streams;
  Source source;
  auto stream = streams.pool.imap(same, source, {.buffersize = 1});
  EXPECT_EQ(source.drawn(), 1);
  EXPECT_EQ(stream.next(), 0);
  EXPECT_EQ(streams.core->waiting_chunks(), 1U);
  EXPECT_EQ(source.drawn(), 2);
}

TEST(StreamBuffer, of_endless_inputs_keeps_no_more_than_buffersize_results) {
  Streams streams(shuffled(8));
  auto stream = streams.pool.imap(counted, std::views::iota(0), {.buffersize = 10});
  for (int x = 0; x < 20000; ++x) {
    while (streams.core->step()) {  // the reader is slow
    }
    ASSERT_LE(Counted::alive, 10);
    ASSERT_EQ(stream.next()->value, x);
  }
}

// --- slow inputs -----------------------------------------------------------------------------------------------------

constexpr auto slow = 5ms;

/// 0, 1, 2, ..., each of which takes its time.
auto slow_numbers(std::atomic<int>& drawn) {
  return std::views::iota(0, 1000) | std::views::transform([&drawn](int x) {
           std::this_thread::sleep_for(slow);
           ++drawn;
           return x;
         });
}

TEST(StreamBuffer, of_slow_inputs_is_there_with_the_first_of_them) {
  std::atomic<int> drawn = 0;
  Streams streams;
  const auto stream = streams.pool.imap(same, slow_numbers(drawn), {.buffersize = 1000});
  EXPECT_EQ(drawn, 1);
  EXPECT_EQ(streams.core->waiting_chunks(), 1U);
}

TEST(StreamBuffer, gives_results_while_its_inputs_are_slow) {
  for (const bool ordered : {true, false}) {
    std::atomic<int> drawn = 0;
    Streams streams;
    const rankpool::MapOptions options{.buffersize = 1000};
    auto stream = ordered ? streams.pool.imap(same, slow_numbers(drawn), options)
                          : streams.pool.imap_unordered(same, slow_numbers(drawn), options);
    for (int x = 0; x < 10; ++x) {
      EXPECT_EQ(stream.next(), x);
      EXPECT_LE(drawn, x + 2);
    }
  }
}

TEST(StreamBuffer, gives_results_that_another_thread_delivers_while_its_inputs_are_slow) {
  std::atomic<int> drawn = 0;
  Streams streams(oldest_first(), Driver::another);
  const Worker worker(*streams.core);
  auto stream = streams.pool.imap(same, slow_numbers(drawn), {.buffersize = 1000});
  for (int x = 0; x < 5; ++x) EXPECT_EQ(stream.next(), x);
  EXPECT_LT(drawn, 500);
}

TEST(StreamBuffer, draws_one_input_at_most_after_the_time_to_wait_has_passed) {
  std::atomic<int> drawn = 0;
  Streams streams;
  streams.core->allow_below(0);
  auto stream = streams.pool.imap(same, slow_numbers(drawn), {.buffersize = 1000});
  for (const auto timeout : {-1ms, 0ms, 1ms}) {
    const int before = drawn;
    EXPECT_THROW((void)stream.next(timeout), TimeoutError);
    EXPECT_EQ(drawn, before + 1);
  }
  EXPECT_THROW((void)stream.next(4 * slow), TimeoutError);
  EXPECT_LE(drawn, 8);
  streams.core->allow_below(1000);
  for (int x = 0; x < 8; ++x) EXPECT_EQ(stream.next(), x);
}

TEST(StreamBuffer, of_inputs_that_turn_slow_draws_one_by_one_again) {
  Streams streams;
  int drawn = 0;
  auto inputs = std::views::iota(0) | std::views::transform([&drawn](int x) {
                  if (x >= 5000) std::this_thread::sleep_for(2ms);
                  ++drawn;
                  return x;
                });
  auto stream = streams.pool.imap(same, inputs, {.buffersize = 40});
  while (drawn <= 5000) (void)stream.next();
  for (int i = 0; i < 60; ++i) (void)stream.next();
  EXPECT_EQ(streams.core->feeds().back(), 1U);
}

}  // namespace
