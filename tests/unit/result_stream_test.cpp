// Streams of results, with tasks that run in this process in an order of the test's choosing: what they give.
#include <algorithm>
#include <array>
#include <concepts>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "counting.hpp"
#include "stream_helpers.hpp"
#include "tasks.hpp"

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::OutcomeStream;
using rankpool::Pool;
using rankpool::ResultStream;

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

}  // namespace
