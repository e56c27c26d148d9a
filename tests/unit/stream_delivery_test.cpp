// Streams of results that another thread delivers.
#include <algorithm>
#include <chrono>
#include <exception>
#include <memory>
#include <ranges>
#include <stdexcept>
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
using rankpool::CancelledError;
using rankpool::TimeoutError;

namespace {

TEST(StreamBuffer, reads_what_another_thread_delivers) {
  Streams streams(shuffled(9), Driver::another);
  const Worker worker(*streams.core);
  for (const int buffersize : {1, 7, 64}) {
    for (const int chunksize : {1, 5}) {
      const rankpool::MapOptions options{.buffersize = buffersize, .chunksize = chunksize};
      EXPECT_EQ(rest_of(streams.pool.imap(square, numbers(3000), options)), squares(3000));
      std::vector<int> results = rest_of(streams.pool.imap_unordered(square, numbers(3000), options));
      std::ranges::sort(results);
      EXPECT_EQ(results, squares(3000));
    }
  }
}

TEST(StreamBuffer, reads_through_errors_and_timeouts_while_another_thread_delivers) {
  Streams streams(shuffled(10), Driver::another);
  const Worker worker(*streams.core);
  auto stream = streams.pool.imap(odd_only, numbers(2000), {.buffersize = 20, .chunksize = 3});
  int x = 0;
  while (x < 2000) {
    try {
      EXPECT_EQ(stream.next(1us), x);
      ++x;
    } catch (const std::out_of_range& error) {
      EXPECT_EQ(error.what(), std::to_string(x) + " is even");
      ++x;
    } catch (const TimeoutError&) {
    }
  }
  EXPECT_FALSE(stream.next());
}

TEST(StreamBuffer, is_dropped_while_another_thread_delivers) {
  Streams streams(shuffled(11), Driver::another);
  {
    const Worker worker(*streams.core);
    for (int round = 0; round < 300; ++round) {
      auto stream = streams.pool.imap(counted, std::views::iota(0), {.buffersize = 8});
      for (int x = 0; x < round % 7; ++x) EXPECT_EQ(stream.next()->value, x);
    }
  }
  EXPECT_EQ(Counted::alive, 0);
}

TEST(StreamBuffer, is_read_while_another_thread_terminates_the_pool) {
  for (int round = 0; round < 50; ++round) {
    Streams streams(shuffled(12), Driver::another);
    const Worker worker(*streams.core);
    auto stream = streams.pool.imap(same, std::views::iota(0), {.buffersize = 8});
    std::thread other([&] { streams.core->end_all(std::make_exception_ptr(CancelledError("ended"))); });
    int x = 0;
    EXPECT_THROW(
        while (const auto result = stream.next()) { EXPECT_EQ(*result, x++); }, CancelledError);
    expect_end(stream);
    other.join();
  }
}

}  // namespace
