// Streams of results, with tasks that run in this process in an order of the test's choosing: what they give.
#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <exception>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "stream_helpers.hpp"
#include "stream_pool.hpp"

using namespace std::chrono_literals;
using namespace rankpool::test;

using rankpool::CancelledError;
using rankpool::Outcome;
using rankpool::OutcomeStream;
using rankpool::Pool;
using rankpool::RemoteError;
using rankpool::ResultStream;
using rankpool::TimeoutError;

namespace {

static_assert(std::ranges::input_range<ResultStream<int>> && std::ranges::input_range<ResultStream<void>> &&
              std::ranges::input_range<OutcomeStream<int>> && !std::ranges::forward_range<ResultStream<int>>);
static_assert(std::movable<ResultStream<int>> && !std::copyable<ResultStream<int>>);
static_assert(std::is_nothrow_move_constructible_v<ResultStream<int>>);
static_assert(std::same_as<decltype(std::declval<ResultStream<int>&>().next()), std::optional<int>>);
static_assert(std::same_as<decltype(std::declval<ResultStream<void>&>().next()), bool>);

// --- order -----------------------------------------------------------------------------------------------------------

TEST(ResultStream, gives_results_in_the_order_of_the_inputs_however_they_arrive) {
  for (const Choice& choice : {oldest_first(), newest_first(), shuffled(1)}) {
    for (const int chunksize : {0, 1, 6, 20, 100, 110}) {
      Streams streams(choice);
      const rankpool::MapOptions options{.buffersize = 37, .chunksize = chunksize};
      EXPECT_EQ(rest_of(streams.pool.imap(square, numbers(100), options)), squares(100)) << chunksize;
    }
  }
}

TEST(ResultStream, unordered_gives_results_as_they_arrive) {
  Streams streams(newest_first());
  EXPECT_EQ(rest_of(streams.pool.imap_unordered(square, numbers(5))), (std::vector{16, 9, 4, 1, 0}));
  Streams mixed(shuffled(2));
  std::vector<int> results = rest_of(mixed.pool.imap_unordered(square, numbers(1000), {.chunksize = 100}));
  EXPECT_NE(results, squares(1000));
  std::ranges::sort(results);
  EXPECT_EQ(results, squares(1000));
}

TEST(ResultStream, ends_and_stays_at_the_end) {
  Streams streams;
  auto stream = streams.pool.imap(square, numbers(2));
  EXPECT_EQ(stream.next(), 0);
  EXPECT_EQ(stream.next(), 1);
  expect_end(stream);
}

TEST(ResultStream, of_no_inputs_is_empty) {
  Streams streams;
  auto stream = streams.pool.imap(square, std::vector<int>{});
  expect_end(stream);
  auto unordered = streams.pool.imap_unordered(nothing, std::views::empty<int>);
  EXPECT_FALSE(unordered.next());
  ResultStream<int> none;
  expect_end(none);
  EXPECT_FALSE(none.outcomes().next());
}

TEST(ResultStream, a_second_loop_goes_on_where_the_first_was_left) {
  Streams streams;
  auto stream = streams.pool.imap(same, numbers(6));
  for (const int x : stream) {
    if (x == 2) break;
  }
  EXPECT_EQ(stream.next(), 3);
  EXPECT_EQ(rest_of(stream), (std::vector{4, 5}));
}

TEST(ResultStream, works_with_views) {
  Streams streams;
  std::vector<int> seen;
  for (const int x : streams.pool.imap(square, std::views::iota(0)) | std::views::take(3)) seen.push_back(x);
  EXPECT_EQ(seen, (std::vector{0, 1, 4}));
}

TEST(ResultStream, of_one_stream_is_the_input_of_another) {
  for (const Choice& choice : {oldest_first(), shuffled(3)}) {
    Streams streams(choice);
    auto stream = streams.pool.imap(square, streams.pool.imap(same, std::views::iota(0, 1000)), {.buffersize = 8});
    EXPECT_EQ(rest_of(stream), squares(1000));
    EXPECT_EQ(streams.core->drops(), 0);
  }
}

// --- what is called, and with what -----------------------------------------------------------------------------------

TEST(ResultStream, takes_several_ranges_and_lists_in_braces) {
  Streams streams;
  Pool& pool = streams.pool;
  EXPECT_EQ(rest_of(pool.imap(add, std::views::iota(0), std::vector{10, 20, 30})), (std::vector{10, 21, 32}));
  const auto sum = [](int a, int b, int c, int d, int e, int f) { return a + b + c + d + e + f; };
  const std::array<int, 2> two{1, 2};
  EXPECT_EQ(rest_of(pool.imap(sum, two, two, two, two, two, two)), (std::vector{6, 12}));
  EXPECT_EQ(rest_of(pool.imap_unordered(sum, two, two, two, two, two, two)), (std::vector{6, 12}));
  EXPECT_EQ(rest_of(pool.imap(square, {1, 2, 3})), (std::vector{1, 4, 9}));
  EXPECT_EQ(rest_of(pool.imap_unordered(shout, {"a", "b"})), (std::vector<std::string>{"a!", "b!"}));
  const auto total = [](const std::vector<int>& values) { return std::accumulate(values.begin(), values.end(), 0); };
  EXPECT_EQ(rest_of(pool.imap(total, {{1, 2}, {3, 4, 5}})), (std::vector{3, 12}));
}

TEST(ResultStream, of_istarmap_unpacks_tuples) {
  Streams streams;
  Pool& pool = streams.pool;
  EXPECT_EQ(rest_of(pool.istarmap(add, {{1, 2}, {3, 4}})), (std::vector{3, 7}));
  EXPECT_EQ(rest_of(pool.istarmap_unordered(add, {std::pair(1, 2), std::pair(3, 4)})), (std::vector{3, 7}));
  EXPECT_EQ(rest_of(pool.istarmap(add, std::vector<std::array<int, 2>>{{1, 2}, {3, 4}})), (std::vector{3, 7}));
  const auto pairs = std::views::iota(0, 3) | std::views::transform([](int x) { return std::tuple(x, 1); });
  EXPECT_EQ(rest_of(pool.istarmap_unordered(add, pairs)), (std::vector{1, 2, 3}));
}

TEST(ResultStream, of_void_tasks_counts_them) {
  Streams streams;
  auto stream = streams.pool.imap(nothing, numbers(3), {.chunksize = 2});
  EXPECT_TRUE(stream.next());
  int more = 0;
  for ([[maybe_unused]] const std::monostate done : stream) ++more;
  EXPECT_EQ(more, 2);
  expect_end(stream);
  int odd = 0;
  for (const auto& outcome : streams.pool.imap_unordered(odd_or_nothing, numbers(5)).outcomes()) {
    odd += outcome.has_value() ? 1 : 0;
  }
  EXPECT_EQ(odd, 2);
}

struct OnlyMade {
  explicit OnlyMade(int v) : value(v) {}
  const int value;
};
static_assert(!std::is_default_constructible_v<OnlyMade> && !std::is_move_assignable_v<OnlyMade>);

TEST(ResultStream, carries_every_kind_of_result) {
  Streams streams;
  Pool& pool = streams.pool;
  EXPECT_EQ(rest_of(pool.imap(is_even, numbers(3))), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(rest_of(pool.imap(shout, std::vector<std::string>{"a", std::string(10000, 'b')})),
            (std::vector<std::string>{"a!", std::string(10000, 'b') + "!"}));

  auto unique = pool.imap([](int x) { return std::make_unique<int>(x); }, numbers(3));
  const std::optional<std::unique_ptr<int>> first = unique.next();
  EXPECT_EQ(**first, 0);
  for (std::unique_ptr<int>& pointer : unique) {
    const std::unique_ptr<int> mine = std::move(pointer);
    EXPECT_GT(*mine, 0);
  }

  auto made = pool.imap([](int x) { return OnlyMade(x); }, numbers(3));
  EXPECT_EQ(made.next()->value, 0);
  int expected = 1;
  for (const OnlyMade& one : made) EXPECT_EQ(one.value, expected++);
}

TEST(ResultStream, owns_an_rvalue_range_and_refers_to_one_with_a_name) {
  Streams streams;
  auto numbers_here = std::make_unique<std::vector<int>>(numbers(4));
  auto owning = streams.pool.imap(square, std::move(*numbers_here), {.buffersize = 1});
  numbers_here.reset();
  EXPECT_EQ(rest_of(owning), squares(4));

  std::vector<int> named = numbers(4);
  auto referring = streams.pool.imap(square, named, {.buffersize = 1});
  named[3] = 10;
  EXPECT_EQ(rest_of(referring), (std::vector{0, 1, 4, 100}));
  EXPECT_EQ(streams.core->total(), 4U);

  const std::vector<int> constant = numbers(3);
  EXPECT_EQ(rest_of(streams.pool.imap(square, constant)), squares(3));
}

// --- errors of tasks -------------------------------------------------------------------------------------------------

TEST(ResultStream, throws_a_tasks_error_in_its_place_and_goes_on) {
  for (const int chunksize : {1, 2, 5, 6, 7, 20}) {
    Streams streams(shuffled(4));
    auto stream = streams.pool.imap(odd_only, numbers(7), {.chunksize = chunksize});
    for (int x = 0; x < 7; ++x) {
      if (x % 2 == 1) {
        EXPECT_EQ(stream.next(1s), x);
      } else {
        EXPECT_EQ(error_of<std::out_of_range>([&] { (void)stream.next(); }), std::to_string(x) + " is even");
      }
    }
    expect_end(stream);
  }
}

TEST(ResultStream, a_loop_throws_a_tasks_error_and_another_goes_on) {
  Streams streams;
  auto stream = streams.pool.imap(odd_only, numbers(5), {.chunksize = 3});
  std::vector<int> seen;
  std::vector<std::string> errors;
  for (bool more = true; more;) {
    try {
      for (const int x : stream) seen.push_back(x);
      more = false;
    } catch (const std::out_of_range& error) {
      errors.emplace_back(error.what());
    }
  }
  EXPECT_EQ(seen, (std::vector{1, 3}));
  EXPECT_EQ(errors, (std::vector<std::string>{"0 is even", "2 is even", "4 is even"}));
  expect_end(stream);
}

TEST(ResultStream, an_iterator_at_an_error_throws_it_and_can_go_on) {
  Streams streams;
  auto stream = streams.pool.imap(odd_only, std::vector{1, 2, 3});
  auto it = stream.begin();
  EXPECT_EQ(*it, 1);
  EXPECT_THROW(++it, std::out_of_range);
  EXPECT_FALSE(it == stream.end());
  EXPECT_THROW((void)*it, std::out_of_range);
  ++it;
  EXPECT_EQ(*it, 3);
  ++it;
  EXPECT_TRUE(it == stream.end());
}

TEST(ResultStream, outcomes_give_every_value_and_every_error) {
  Streams streams(shuffled(5));
  std::vector<std::string> texts;
  for (Outcome<int>& outcome : streams.pool.imap(odd_only, numbers(4), {.chunksize = 2}).outcomes()) {
    texts.push_back(outcome ? std::to_string(*outcome) : outcome.error_text());
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"0 is even", "1", "2 is even", "3"}));
}

TEST(ResultStream, and_its_outcomes_are_one_stream) {
  Streams streams;
  auto stream = streams.pool.imap(odd_only, numbers(6));
  EXPECT_FALSE(stream.outcomes().next()->has_value());
  EXPECT_EQ(stream.next(), 1);
  OutcomeStream<int> outcomes = stream.outcomes();
  stream = {};
  EXPECT_EQ(streams.core->drops(), 0);
  EXPECT_FALSE(outcomes.next(1s)->has_value());
  EXPECT_EQ(rest_of(outcomes).size(), 3U);
  EXPECT_FALSE(outcomes.next());
}

struct Unreadable {
  int value = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& value;
    if (Archive::is_loading::value && value == 1) throw std::length_error("can't be read");
  }
};

TEST(ResultStream, a_result_that_cannot_be_read_is_its_tasks_error) {
  Streams streams;
  auto stream = streams.pool.imap([](int x) { return Unreadable{x}; }, numbers(3), {.chunksize = 3});
  EXPECT_EQ(stream.next()->value, 0);
  EXPECT_EQ(error_of<std::length_error>([&] { (void)stream.next(); }), "can't be read");
  EXPECT_EQ(stream.next()->value, 2);
}

// --- errors of inputs ------------------------------------------------------------------------------------------------

TEST(ResultStream, gives_all_that_was_drawn_before_an_input_threw) {
  for (const int bad : {0, 3, 7}) {
    for (const int buffersize : {0, 1, 3, 100}) {
      for (const int chunksize : {1, 4}) {
        Streams streams(shuffled(6));
        Source source(20, bad);
        auto stream = streams.pool.imap(square, source, {.buffersize = buffersize, .chunksize = chunksize});
        for (int x = 0; x < bad; ++x) EXPECT_EQ(stream.next(), x * x);
        EXPECT_EQ(error_of<std::domain_error>([&] { (void)stream.next(); }), "no item " + std::to_string(bad));
        expect_end(stream);
        EXPECT_EQ(source.throws(), 1);
        EXPECT_EQ(streams.core->drops(), 0);
      }
    }
  }
}

TEST(ResultStream, the_inputs_error_is_the_very_exception) {
  Streams streams;
  Source source(20, 0);
  auto stream = streams.pool.imap(same, source);
  try {
    (void)stream.outcomes().next();
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_EQ(typeid(error), typeid(std::domain_error));
    EXPECT_EQ(dynamic_cast<const RemoteError*>(&error), nullptr);
  }
  expect_end(stream);
}

struct Unwritable {
  int value = 0;
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    if (Archive::is_saving::value && value == 2) throw std::length_error("can't be written");
    archive& value;
  }
};

TEST(ResultStream, an_argument_that_cannot_be_written_ends_the_inputs) {
  Streams streams;
  const auto value = [](const Unwritable& unwritable) { return unwritable.value; };
  auto stream = streams.pool.imap(value, std::vector<Unwritable>{{0}, {1}, {2}, {3}});
  EXPECT_EQ(stream.next(), 0);
  EXPECT_EQ(stream.next(), 1);
  EXPECT_THROW((void)stream.next(), std::length_error);
  expect_end(stream);
}

TEST(ResultStream, options_that_make_no_sense_are_refused) {
  Streams streams;
  EXPECT_EQ(error_of<std::invalid_argument>([&] { (void)streams.pool.imap(square, numbers(3), {.buffersize = -1}); }),
            "buffersize must be 0 (automatic) or positive, not -1");
  EXPECT_THROW((void)streams.pool.map(square, numbers(3), {.buffersize = -1}), std::invalid_argument);
  EXPECT_THROW((void)streams.pool.imap(square, numbers(3), {.chunksize = -2}), std::invalid_argument);
  EXPECT_THROW((void)streams.pool.imap(square, numbers(3), {.timeout = -1s}), std::invalid_argument);
}

TEST(ResultStream, a_closed_pool_refuses_it) {
  Streams streams;
  Source source;
  streams.pool.close();
  EXPECT_THROW((void)streams.pool.imap(square, source), rankpool::PoolClosed);
  EXPECT_EQ(source.drawn(), 0);
  EXPECT_EQ(streams.core->drops(), 0);
}

TEST(ResultStream, loses_nothing_where_the_pool_may_not_be_used_for_a_moment) {
  Streams streams;
  auto stream = streams.pool.imap(same, numbers(10), {.buffersize = 4, .chunksize = 2});
  EXPECT_EQ(stream.next(), 0);
  streams.core->refuse_feeding(true);
  EXPECT_EQ(error_of<std::logic_error>([&] { (void)stream.next(); }), "not here");
  streams.core->refuse_feeding(false);
  EXPECT_EQ(rest_of(stream), (std::vector{1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

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
