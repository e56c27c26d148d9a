// Streams of results whose calls end early, and those that are waited for a limited time.
#include <algorithm>
#include <chrono>
#include <exception>
#include <limits>
#include <ranges>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "counting.hpp"
#include "stream_helpers.hpp"
#include "tasks.hpp"

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;
using rankpool::ResultStream;
using rankpool::TimeoutError;

namespace {

// --- calls that end early --------------------------------------------------------------------------------------------

TEST(ResultStream, in_order_gives_all_up_to_the_first_gap_before_the_failure) {
  Streams streams;
  auto stream = streams.pool.imap(same, numbers(10), {.buffersize = 10});
  for (int i = 0; i < 3; ++i) streams.core->step();
  streams.core->allow_below(3);
  EXPECT_EQ(stream.next(), 0);
  streams.core->end_all(std::make_exception_ptr(TimeoutError("imap timed out")));
  EXPECT_EQ(stream.next(), 1);
  EXPECT_EQ(stream.next(), 2);
  EXPECT_EQ(error_of<TimeoutError>([&] { (void)stream.next(); }), "imap timed out");
  expect_end(stream);
}

TEST(ResultStream, results_behind_a_gap_are_freed_when_the_call_ends_early) {
  Streams streams(newest_first());
  auto stream = streams.pool.imap(counted, numbers(10), {.buffersize = 10});
  for (int i = 0; i < 9; ++i) streams.core->step();
  EXPECT_EQ(Counted::alive, 9);
  streams.pool.terminate();
  EXPECT_EQ(Counted::alive, 0);
  EXPECT_THROW((void)stream.next(), CancelledError);
  EXPECT_FALSE(stream.next());
}

TEST(ResultStream, unordered_gives_all_that_arrived_before_the_failure) {
  Streams streams(newest_first());
  auto stream = streams.pool.imap_unordered(same, numbers(10), {.buffersize = 10});
  for (int i = 0; i < 3; ++i) streams.core->step();
  streams.pool.terminate();
  EXPECT_EQ(stream.next(), 9);
  EXPECT_EQ(stream.next(), 8);
  EXPECT_EQ(stream.next(), 7);
  EXPECT_THROW((void)stream.next(), CancelledError);
  expect_end(stream);
}

TEST(ResultStream, a_failure_is_thrown_once_by_loops_and_outcomes_too) {
  Streams streams;
  auto stream = streams.pool.imap(same, std::views::iota(0));
  streams.core->allow_below(0);
  streams.core->end_all(std::make_exception_ptr(rankpool::BrokenPool("it broke")));
  EXPECT_THROW((void)stream.begin(), rankpool::BrokenPool);
  for (const int x : stream) FAIL() << x;

  auto outcomes = streams.pool.imap(same, std::views::iota(0)).outcomes();
  streams.core->end_all(std::make_exception_ptr(rankpool::BrokenPool("it broke")));
  EXPECT_THROW((void)outcomes.next(), rankpool::BrokenPool);
  EXPECT_FALSE(outcomes.next());
}

TEST(ResultStream, the_pools_failure_goes_before_the_inputs) {
  Streams streams;
  Source source(20, 5);
  auto stream = streams.pool.imap(same, source);
  streams.pool.terminate();
  EXPECT_THROW((void)stream.next(), CancelledError);
  expect_end(stream);
}

TEST(ResultStream, outlives_its_pool) {
  ResultStream<int> stream;
  ResultStream<int> unfinished;
  {
    Streams streams;
    stream = streams.pool.imap(square, numbers(4));
    unfinished = streams.pool.imap(square, std::views::iota(0), {.buffersize = 2});
    streams.pool.close();
    streams.pool.join();
    streams.core->end_all(std::make_exception_ptr(CancelledError("the pool has gone")));
  }
  EXPECT_EQ(rest_of(stream), squares(4));
  EXPECT_EQ(unfinished.next(), 0);
  EXPECT_EQ(unfinished.next(), 1);
  EXPECT_THROW((void)unfinished.next(), CancelledError);
}

// --- waiting for a limited time --------------------------------------------------------------------------------------

TEST(ResultStream, next_can_be_called_again_after_a_timeout) {
  for (const int chunksize : {1, 2, 6}) {
    Streams streams;
    streams.core->allow_below(2);
    auto stream = streams.pool.imap(same, numbers(6), {.chunksize = chunksize});
    for (int x = 0; x < std::max(2, chunksize); ++x) EXPECT_EQ(stream.next(1s), x);
    if (chunksize == 6) continue;
    EXPECT_EQ(error_of<TimeoutError>([&] { (void)stream.next(250ms); }), "the next result did not come within 0.25 s");
    EXPECT_THROW((void)stream.outcomes().next(0s), TimeoutError);
    EXPECT_THROW((void)stream.next(-1s), TimeoutError);
    streams.core->allow_below(6);
    EXPECT_EQ(rest_of(stream), (std::vector{2, 3, 4, 5}));
  }
}

TEST(ResultStream, next_never_gives_up_early) {
  Streams streams(oldest_first(), Driver::another);
  auto stream = streams.pool.imap(same, numbers(3));
  const auto before = std::chrono::steady_clock::now();
  EXPECT_THROW((void)stream.next(20ms), TimeoutError);
  EXPECT_GE(std::chrono::steady_clock::now() - before, 20ms);
}

TEST(ResultStream, a_timeout_that_is_no_number_is_refused) {
  Streams streams;
  auto stream = streams.pool.imap(same, numbers(3));
  EXPECT_THROW((void)stream.next(rankpool::Seconds(std::numeric_limits<double>::quiet_NaN())), std::invalid_argument);
  EXPECT_EQ(stream.next(rankpool::Seconds(std::numeric_limits<double>::infinity())), 0);
}

TEST(ResultStream, a_timeout_error_of_a_task_is_that_tasks) {
  Streams streams;
  const auto late = [](int x) {
    if (x == 1) throw TimeoutError("my own");
    return x;
  };
  auto stream = streams.pool.imap(late, numbers(3));
  EXPECT_EQ(stream.next(1s), 0);
  EXPECT_EQ(error_of<TimeoutError>([&] { (void)stream.next(1s); }), "my own");
  EXPECT_EQ(stream.next(1s), 2);
  expect_end(stream);
}

}  // namespace
