// Streams of results: what they free, and when.
#include <cstdint>
#include <ranges>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "counting.hpp"
#include "stream_helpers.hpp"
#include "tasks.hpp"

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Outcome;

namespace {

TEST(StreamBuffer, frees_each_result_as_it_is_consumed) {
  Streams streams;
  {
    auto stream = streams.pool.imap(counted, numbers(8), {.chunksize = 4});
    for (int x = 0; x < 8; ++x) {
      { EXPECT_EQ(stream.next()->value, x); }
      EXPECT_EQ(Counted::alive, 3 - x % 4);
    }
  }
  {
    auto stream = streams.pool.imap(counted, numbers(8), {.chunksize = 4});
    int x = 0;
    for (const Counted& result : stream) {
      EXPECT_EQ(result.value, x);
      EXPECT_EQ(Counted::alive, 4 - x % 4);
      ++x;
    }
    EXPECT_EQ(Counted::alive, 0);
  }
}

TEST(StreamBuffer, frees_its_inputs_when_all_are_drawn) {
  Streams streams;
  std::vector<Counted> inputs(6);
  auto stream = streams.pool.imap(value_of, std::move(inputs), {.buffersize = 2});
  EXPECT_EQ(Counted::alive, 6);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(stream.next(), 0);
  EXPECT_EQ(Counted::alive, 0);
  EXPECT_EQ(rest_of(stream).size(), 2U);
}

TEST(StreamBuffer, dropped_early_cancels_and_frees_what_there_is) {
  Streams streams(newest_first());
  {
    auto stream = streams.pool.imap([](const Counted& c) { return c; }, std::vector<Counted>(100), {.buffersize = 10});
    for (int i = 0; i < 5; ++i) streams.core->step();
    EXPECT_EQ(Counted::alive, 105);
  }
  EXPECT_EQ(Counted::alive, 0);
  EXPECT_EQ(streams.core->drops(), 1);
  EXPECT_EQ(streams.core->waiting_chunks(), 0U);
  EXPECT_EQ(rest_of(streams.pool.imap(square, numbers(5))), squares(5));
  EXPECT_EQ(streams.core->drops(), 1) << "a stream that was read to its end has nothing to cancel";
}

TEST(StreamBuffer, dropped_keeps_nothing_that_comes_late) {
  for (const auto order : {rankpool::detail::Order::input, rankpool::detail::Order::arrival}) {
    rankpool::detail::StreamCall<Counted> call(order);
    const auto deliver = [&call](std::uint64_t task) {
      HeapResults results(task);
      results.commit(rankpool::detail::encode_result(Counted(1), results));
      results.deliver(call.sink());
    };
    deliver(0);
    deliver(2);
    EXPECT_EQ(Counted::alive, 2);
    call.abandon();
    EXPECT_EQ(Counted::alive, 0);
    deliver(1);
    EXPECT_EQ(Counted::alive, 0);
  }
}

TEST(StreamBuffer, dropped_in_a_loop_over_a_temporary_cancels) {
  Streams streams;
  for (const int x : streams.pool.imap(same, std::views::iota(0))) {
    if (x == 10) break;
  }
  EXPECT_EQ(streams.core->drops(), 1);
  for (const Outcome<int>& x : streams.pool.imap(same, std::views::iota(0)).outcomes()) {
    if (*x == 10) break;
  }
  EXPECT_EQ(streams.core->drops(), 2);
}

TEST(StreamBuffer, dropped_with_its_call_ended_cancels_nothing) {
  Streams streams;
  {
    auto stream = streams.pool.imap(counted, numbers(3));
    while (streams.core->step()) {
    }
    EXPECT_EQ(Counted::alive, 3);
  }
  EXPECT_EQ(streams.core->drops(), 0);
  EXPECT_EQ(Counted::alive, 0);
}

TEST(StreamBuffer, a_pipeline_dropped_early_cancels_both_streams) {
  Streams streams;
  { auto stream = streams.pool.imap(square, streams.pool.imap(same, std::views::iota(0)), {.buffersize = 3}); }
  EXPECT_EQ(streams.core->drops(), 2);
}

TEST(StreamBuffer, moved_from_is_at_its_end) {
  Streams streams;
  auto from = streams.pool.imap(same, numbers(5));
  EXPECT_EQ(from.next(), 0);
  auto it = from.begin();
  auto to = std::move(from);
  expect_end(from);  // NOLINT(bugprone-use-after-move): what this is about
  EXPECT_EQ(*it, 1);
  EXPECT_EQ(to.next(), 2);
  EXPECT_EQ(streams.core->drops(), 0);
  to = streams.pool.imap(same, numbers(2));
  EXPECT_EQ(streams.core->drops(), 1);
  EXPECT_EQ(rest_of(to), (std::vector{0, 1}));
}

}  // namespace
