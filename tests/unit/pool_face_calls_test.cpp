// Every call of a pool, and the kinds of results.
#include <array>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "serial_runner.hpp"
#include "tasks.hpp"

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Outcome;
using rankpool::Pool;

namespace {

std::size_t length(std::string_view text) { return text.size(); }
int sum_of(std::span<const int> values) { return std::accumulate(values.begin(), values.end(), 0); }

}  // namespace

// --- starmap --------------------------------------------------------------------------------------------------------

TEST(PoolFace, starmap_unpacks_tuples_pairs_and_arrays) {
  Pool pool = small_pieces();
  const std::vector<double> expected{1, 4, 27, 256};
  EXPECT_EQ(pool.starmap(power, std::vector<std::pair<double, int>>{{1, 1}, {2, 2}, {3, 3}, {4, 4}}), expected);
  EXPECT_EQ(pool.starmap(power, std::list<std::tuple<double, int>>{{1, 1}, {2, 2}, {3, 3}, {4, 4}}), expected);
  EXPECT_EQ(pool.starmap(power, std::vector<std::array<int, 2>>{{1, 1}, {2, 2}, {3, 3}, {4, 4}}), expected);
  EXPECT_EQ(pool.starmap(power, std::map<int, int>{{1, 1}, {2, 2}, {3, 3}, {4, 4}}, {.chunksize = 3}), expected);
  const auto pairs = std::views::iota(1, 5) | std::views::transform([](int i) { return std::pair(i * 1.0, i); });
  EXPECT_EQ(pool.starmap(power, pairs), expected);
}

TEST(PoolFace, starmap_unpacks_what_is_not_bitwise) {
  const std::vector<std::tuple<std::string, int>> words{{"ab", 2}, {"c", 3}};
  const auto repeat = [](const std::string& word, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += word;
    return text;
  };
  EXPECT_EQ(serial_pool().starmap(repeat, words), (std::vector<std::string>{"abab", "ccc"}));
}

TEST(PoolFace, starmap_outcomes_gives_values_and_errors) {
  const auto divide = [](int a, int b) {
    if (b == 0) throw std::invalid_argument("division by zero");
    return a / b;
  };
  const auto outcomes = serial_pool().starmap_outcomes(divide, {{6, 3}, {1, 0}, {8, 2}}, {.chunksize = 2});
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_EQ(outcomes[0].value(), 2);
  EXPECT_EQ(outcomes[1].error_text(), "division by zero");
  EXPECT_EQ(outcomes[2].value(), 4);
}

// --- brace lists ----------------------------------------------------------------------------------------------------

TEST(PoolFace, brace_lists_are_mapped) {
  Pool pool = serial_pool();
  EXPECT_EQ(pool.map(square, {1, 2, 3, 4}), (std::vector<int>{1, 4, 9, 16}));
  EXPECT_EQ(pool.map(square, {1, 2, 3, 4}, {.chunksize = 2}), (std::vector<int>{1, 4, 9, 16}));
  EXPECT_EQ(pool.map(length, {"a", "bcd"}), (std::vector<std::size_t>{1, 3}));
  EXPECT_EQ(pool.map(norm1, {Point{1, 2}, Point{3, 4}}), (std::vector<int>{3, 7}));
  EXPECT_EQ(pool.map(norm1, {{1, 2}, {3, 4}}, {.chunksize = 1}), (std::vector<int>{3, 7}));
  EXPECT_EQ(pool.map([](double x) { return x / 2; }, {1, 2.5}), (std::vector<double>{0.5, 1.25}));
  EXPECT_EQ(pool.map([](auto x) { return x + x; }, {1, 2}), (std::vector<int>{2, 4}));
  EXPECT_EQ(pool.map_outcomes(square, {3}).front().value(), 9);
  EXPECT_EQ(pool.map_outcomes(norm1, {{1, 2}}).front().value(), 3);
}

TEST(PoolFace, brace_lists_are_starmapped) {
  Pool pool = serial_pool();
  EXPECT_EQ(pool.starmap(power, {{2, 2}, {3, 3}}), (std::vector<double>{4, 27}));
  EXPECT_EQ(pool.starmap(power, {{2, 2}, {3, 3}}, {.chunksize = 1}), (std::vector<double>{4, 27}));
  EXPECT_EQ(pool.starmap(power, {std::pair{2.0, 2}, std::pair{3.0, 3}}), (std::vector<double>{4, 27}));
  EXPECT_EQ(pool.starmap(power, {std::tuple{2.0, 2}, std::tuple{3.0, 3}}), (std::vector<double>{4, 27}));
  const auto generic = [](auto a, auto b) { return a * b; };
  EXPECT_EQ(pool.starmap(generic, {std::tuple{2, 3}, std::tuple{4, 5}}), (std::vector<int>{6, 20}));
  const auto join = [](const std::string& a, std::string_view b) { return a + std::string(b); };
  EXPECT_EQ(pool.starmap(join, {{"a", "b"}, {"c", "d"}}), (std::vector<std::string>{"ab", "cd"}));
}

// --- apply ----------------------------------------------------------------------------------------------------------

TEST(PoolFace, apply_gives_what_the_function_gives) {
  Pool pool = serial_pool();
  EXPECT_EQ(pool.apply(square, 5), square(5));
  EXPECT_EQ(pool.apply(power, 2, 10), 1024);
  EXPECT_EQ(pool.apply([] { return 7; }), 7);
  EXPECT_EQ(pool.apply(shout, "hey"), "hey!");
  EXPECT_EQ(pool.apply(length, "four"), 4U);
  EXPECT_EQ(pool.apply(sum_of, std::vector<int>{1, 2, 3}), 6);
  EXPECT_TRUE(pool.apply(std::logical_not<bool>(), false));
  EXPECT_EQ(pool.apply(rankpool::bind(power, 3.0), 2), 9);
  EXPECT_EQ(pool.apply(rankpool::fn<square>, 4), 16);
  EXPECT_EQ(pool.apply(&Parity::odd, Parity(3)), true);
}

TEST(PoolFace, apply_takes_arguments_from_lvalues_without_changing_them) {
  const std::string word = "word";
  std::vector<int> values{1, 2, 3};
  EXPECT_EQ(serial_pool().apply([](std::string text, std::vector<int> numbers) { return text.size() + numbers.size(); },
                                word, values),
            7U);
  EXPECT_EQ(values.size(), 3U);
}

TEST(PoolFace, apply_throws_the_tasks_error) {
  Pool pool = serial_pool();
  EXPECT_EQ(error_of([&] { (void)pool.apply(odd_only, 4); }), "4 is even");
  EXPECT_EQ(pool.apply(odd_only, 5), 5);
}

// --- kinds of results -----------------------------------------------------------------------------------------------

TEST(PoolFace, void_functions_work_in_every_call) {
  Pool pool = serial_pool();
  static int calls;
  calls = 0;
  const auto count = [](int by) { calls += by; };
  pool.apply(count, 1);
  pool.map(count, {1, 2});
  pool.map(count, std::vector{3, 4}, {.chunksize = 1});
  pool.starmap(count, {{5}, {6}});
  EXPECT_EQ(calls, 22);
  const std::vector<Outcome<void>> outcomes = pool.map_outcomes([](int x) { (void)odd_only(x); }, {1, 2, 3});
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_TRUE(outcomes[0].has_value());
  EXPECT_EQ(outcomes[1].error_text(), "2 is even");
  EXPECT_TRUE(outcomes[2].has_value());
  static_assert(std::is_void_v<decltype(pool.map(count, {1}))>);
  static_assert(std::is_void_v<decltype(pool.apply(count, 1))>);
  EXPECT_THROW(pool.map([](int x) { (void)odd_only(x); }, {1, 2}), std::out_of_range);
}

TEST(PoolFace, move_only_results_work) {
  Pool pool = reversed_pool();
  const auto make = [](int x) { return std::make_unique<int>(x); };
  const std::vector<std::unique_ptr<int>> results = pool.map(make, {4, 5, 6}, {.chunksize = 1});
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(*results[0], 4);
  EXPECT_EQ(*results[2], 6);
  EXPECT_EQ(*pool.apply(make, 8), 8);
  auto outcomes = pool.map_outcomes(make, {9});
  EXPECT_EQ(*std::move(outcomes.front()).value(), 9);
}

TEST(PoolFace, results_need_no_default_constructor) {
  static_assert(!std::is_default_constructible_v<Parity>);
  Pool pool = reversed_pool();
  const auto parity = [](int x) { return Parity(x); };
  const std::vector<Parity> parities = pool.map(parity, {1, 2, 3}, {.chunksize = 1});
  ASSERT_EQ(parities.size(), 3U);
  EXPECT_TRUE(parities[0].odd());
  EXPECT_FALSE(parities[1].odd());
  EXPECT_TRUE(pool.apply(parity, 3).odd());
  EXPECT_FALSE(pool.map_outcomes(parity, {2}).front().value().odd());
}

TEST(PoolFace, results_of_bool_work) {
  const auto odd = [](int x) { return x % 2 != 0; };
  EXPECT_EQ(reversed_pool().map(odd, {1, 2, 3}, {.chunksize = 1}), (std::vector<bool>{true, false, true}));
  EXPECT_TRUE(serial_pool().map_outcomes(odd, {1}).front().value());
}

TEST(PoolFace, results_may_be_pairs_tuples_and_optionals) {
  Pool pool = reversed_pool();
  const auto pair = [](int x) { return std::pair(x, x * 0.5); };
  EXPECT_EQ(pool.map(pair, {1, 2, 3}, {.chunksize = 1}),
            (std::vector<std::pair<int, double>>{{1, 0.5}, {2, 1.0}, {3, 1.5}}));
  const auto maybe = [](int x) { return x > 1 ? std::optional(x) : std::nullopt; };
  EXPECT_EQ(pool.map(maybe, {1, 2}), (std::vector<std::optional<int>>{{}, 2}));
  const auto named = [](int x) { return std::tuple(std::to_string(x), std::vector<int>(static_cast<std::size_t>(x))); };
  const auto results = pool.map(named, {1, 2});
  EXPECT_EQ(std::get<0>(results[1]), "2");
  EXPECT_EQ(std::get<1>(results[1]).size(), 2U);
}

TEST(PoolFace, results_larger_than_any_run_work) {
  const auto large = [](int x) { return std::vector<double>(static_cast<std::size_t>(x) * 1000, x); };
  const auto results = serial_pool().map(large, std::views::iota(0, 20), {.chunksize = 6});
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(results[i], std::vector<double>(i * 1000, static_cast<double>(i)));
}
