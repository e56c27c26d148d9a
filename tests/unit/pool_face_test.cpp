// The public face of the pool, with a runner in this thread in place of executors.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <iostream>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/serialization/string.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "serial_runner.hpp"
#include "task/this_task.hpp"

using rankpool::Outcome;
using rankpool::Pool;
using rankpool::PoolState;
using rankpool::Schedule;
using rankpool::test::Seen;
using rankpool::test::SerialRunner;

namespace {

Pool serial_pool() { return Pool(std::make_unique<SerialRunner>()); }
Pool small_pieces() { return Pool(std::make_unique<SerialRunner>(std::make_shared<Seen>(), false, 3)); }
Pool reversed_pool() { return Pool(std::make_unique<SerialRunner>(std::make_shared<Seen>(), true)); }

int square(int x) { return x * x; }
double power(double base, int exponent) {
  double product = 1;
  for (int i = 0; i < exponent; ++i) product *= base;
  return product;
}
std::string shout(const std::string& text) { return text + "!"; }
std::size_t length(std::string_view text) { return text.size(); }
int sum_of(std::span<const int> values) { return std::accumulate(values.begin(), values.end(), 0); }
int odd_only(int x) {
  if (x % 2 == 0) throw std::out_of_range(std::to_string(x) + " is even");
  return x;
}

std::vector<int> squares(int n) {
  std::vector<int> expected;
  for (int i = 0; i < n; ++i) expected.push_back(i * i);
  return expected;
}

struct Point {
  int x = 0;
  int y = 0;
};
int norm1(const Point& p) { return p.x + p.y; }

/// Single-pass and without a size; throws when item `bad` is asked for.
class Generator {
 public:
  class Iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(Generator* of) : of_(of) {}
    int operator*() const { return of_->at_; }
    Iterator& operator++() {
      of_->step(of_->at_ + 1);
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& i, std::default_sentinel_t) { return i.at_end(); }

   private:
    [[nodiscard]] bool at_end() const { return of_->at_ == of_->end_; }
    Generator* of_ = nullptr;
  };

  explicit Generator(int end, int bad = -1) : end_(end), bad_(bad) {}
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;
  ~Generator() = default;

  Iterator begin() {
    step(0);
    return Iterator(this);
  }
  static std::default_sentinel_t end() { return {}; }
  [[nodiscard]] int steps() const { return steps_; }

 private:
  void step(int to) {
    if (to == bad_) throw std::domain_error("no item " + std::to_string(to));
    at_ = to;
    ++steps_;
  }
  int end_;
  int bad_;
  int at_ = 0;
  int steps_ = 0;
};
static_assert(std::ranges::input_range<Generator&> && !std::ranges::forward_range<Generator&>);

/// Refuses to be written, or to be read, where told to.
struct Fussy {
  int value = 0;
  bool unwritable = false;
  bool unreadable = false;

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    if (Archive::is_saving::value && unwritable) throw std::length_error("can't be written");
    archive& value;
    archive& unreadable;
    if (Archive::is_loading::value && unreadable) throw std::length_error("can't be read");
  }
};
int value_of(const Fussy& fussy) { return fussy.value; }
Fussy make_fussy(int value) { return {.value = value, .unwritable = value == 1, .unreadable = value == 2}; }

/// Result type without a default constructor.
class Parity {
 public:
  explicit Parity(int of) : odd_(of % 2 != 0) {}
  [[nodiscard]] bool odd() const { return odd_; }

 private:
  bool odd_;
};

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

// --- order and chunks -----------------------------------------------------------------------------------------------

TEST(PoolFace, map_keeps_input_order_for_every_chunksize) {
  for (const int n : {1, 20, 1000, 2500}) {
    std::vector<int> inputs(static_cast<std::size_t>(n));
    std::iota(inputs.begin(), inputs.end(), 0);
    for (const int chunksize : {0, 1, 6, 20, n, n + 10}) {
      EXPECT_EQ(serial_pool().map(square, inputs, {.chunksize = chunksize}), squares(n)) << n << " by " << chunksize;
      EXPECT_EQ(small_pieces().map(square, inputs, {.chunksize = chunksize}), squares(n));
      EXPECT_EQ(reversed_pool().map(square, inputs, {.chunksize = chunksize}), squares(n));
    }
  }
}

TEST(PoolFace, results_of_varying_size_keep_their_order) {
  const auto repeat = [](int n) { return std::string(static_cast<std::size_t>(n), 'x'); };
  for (const int chunksize : {1, 6, 20, 300, 310}) {
    const auto texts = reversed_pool().map(repeat, std::views::iota(0, 300), {.chunksize = chunksize});
    ASSERT_EQ(texts.size(), 300U);
    for (std::size_t i = 0; i < 300; ++i) EXPECT_EQ(texts[i].size(), i);
  }
}

TEST(PoolFace, empty_input_gives_an_empty_result) {
  Pool pool = serial_pool();
  EXPECT_TRUE(pool.map(square, std::vector<int>{}).empty());
  EXPECT_TRUE(pool.map(shout, std::vector<std::string>{}).empty());
  EXPECT_TRUE(pool.map_outcomes(square, std::vector<int>{}).empty());
  EXPECT_TRUE(pool.starmap(power, std::vector<std::pair<double, int>>{}).empty());
  EXPECT_TRUE(pool.starmap_outcomes(power, std::vector<std::pair<double, int>>{}).empty());
  EXPECT_TRUE(pool.map(square, Generator(0)).empty());
}

// --- ranges ---------------------------------------------------------------------------------------------------------

TEST(PoolFace, any_input_range_is_mapped) {
  Pool pool = small_pieces();
  const std::vector<int> vector{0, 1, 2, 3, 4};
  const int array[] = {0, 1, 2, 3, 4};
  EXPECT_EQ(pool.map(square, array), squares(5));
  EXPECT_EQ(pool.map(square, std::span(vector)), squares(5));
  EXPECT_EQ(pool.map(square, std::array{0, 1, 2, 3, 4}), squares(5));
  EXPECT_EQ(pool.map(square, std::list<int>{0, 1, 2, 3, 4}), squares(5));
  EXPECT_EQ(pool.map(square, std::views::iota(0, 5)), squares(5));
  EXPECT_EQ(pool.map(square, vector | std::views::take(3)), squares(3));
  EXPECT_EQ(pool.map(square, std::views::iota(0) | std::views::take(5)), squares(5));
  EXPECT_EQ(pool.map(square, std::views::iota(0, 5) | std::views::filter([](int i) { return i < 4; })), squares(4));
  EXPECT_EQ(pool.map(square, Generator(5)), squares(5));
  std::istringstream text("0 1 2 3 4");
  EXPECT_EQ(pool.map(square, std::ranges::istream_view<int>(text)), squares(5));
}

TEST(PoolFace, a_vector_of_bool_is_mapped) {
  const std::vector<bool> bits{true, false, false, true, true};
  EXPECT_EQ(small_pieces().map([](bool bit) { return bit ? 1 : 0; }, bits), (std::vector<int>{1, 0, 0, 1, 1}));
  EXPECT_EQ(small_pieces().map(std::logical_not<bool>(), bits), (std::vector<bool>{false, true, true, false, false}));
}

TEST(PoolFace, large_elements_of_a_generic_range_are_mapped) {
  using Block = std::array<int, 3000>;
  const auto blocks = std::views::iota(0, 10) | std::views::transform([](int i) {
                        Block block{};
                        block.back() = i;
                        return block;
                      });
  const auto last = [](const Block& block) { return block.back() * block.back(); };
  EXPECT_EQ(small_pieces().map(last, blocks), squares(10));
}

TEST(PoolFace, an_lvalue_range_is_not_moved_from) {
  std::vector<std::string> words{"a long enough word to live on the heap", "another one of the same kind, or longer"};
  const std::vector<std::string> before = words;
  EXPECT_EQ(serial_pool().map(shout, words), (std::vector<std::string>{before[0] + "!", before[1] + "!"}));
  EXPECT_EQ(words, before);
}

TEST(PoolFace, move_only_elements_of_a_generator_travel) {
  const auto pointers = std::views::iota(0, 5) | std::views::transform([](int i) { return std::make_unique<int>(i); });
  EXPECT_EQ(small_pieces().map([](std::unique_ptr<int> p) { return *p * *p; }, pointers), squares(5));
}

TEST(InputSource, a_single_pass_range_is_not_asked_for_more_than_there_is_room_for) {
  Generator generator(3);
  rankpool::detail::MapSource<Generator&>::type source(generator);
  rankpool::test::HeapPiece first(sizeof(int), 2);
  EXPECT_TRUE(source.draw(first));
  EXPECT_EQ(generator.steps(), 2);
  rankpool::test::HeapPiece second(sizeof(int), 1);
  EXPECT_TRUE(source.draw(second));  // whether there is a fourth is not known before it is asked for
  EXPECT_EQ(generator.steps(), 3);
  rankpool::test::HeapPiece third(sizeof(int), 1);
  EXPECT_FALSE(source.draw(third));
  EXPECT_EQ(third.tasks(), 0U);
}

TEST(InputSource, a_multi_pass_range_tells_its_end_with_its_last_element) {
  std::list<int> list{1, 2, 3};
  rankpool::detail::MapSource<std::list<int>&>::type source(list);
  rankpool::test::HeapPiece first(sizeof(int), 2);
  EXPECT_TRUE(source.draw(first));
  rankpool::test::HeapPiece second(sizeof(int), 1);
  EXPECT_FALSE(source.draw(second));
  EXPECT_EQ(second.tasks(), 1U);
}

TEST(InputSource, what_was_drawn_before_a_range_threw_stands) {
  Generator generator(10, 7);
  rankpool::detail::MapSource<Generator&>::type source(generator);
  rankpool::test::HeapPiece piece(sizeof(int), 100);
  EXPECT_THROW(source.draw(piece), std::domain_error);
  ASSERT_EQ(piece.tasks(), 7U);
  EXPECT_EQ(rankpool::detail::decode<int>(piece.chunk(6, 1).input(0)), 6);
}

TEST(PoolFace, what_a_range_throws_is_thrown_by_map_as_it_is) {
  Pool pool = small_pieces();
  for (const int bad : {0, 3, 7}) {
    for (int times = 0; times < 2; ++times) {
      Generator generator(10, bad);
      try {
        (void)pool.map(square, generator);
        FAIL() << "nothing thrown at " << bad;
      } catch (const std::domain_error& error) {
        EXPECT_EQ(error.what(), "no item " + std::to_string(bad));
        EXPECT_EQ(dynamic_cast<const rankpool::RemoteError*>(&error), nullptr);
      }
    }
  }
  EXPECT_EQ(pool.map(square, std::views::iota(0, 4)), squares(4));
}

TEST(PoolFace, ranges_that_know_their_size_tell_it) {
  const auto seen = std::make_shared<Seen>();
  Pool pool(std::make_unique<SerialRunner>(seen));
  const std::vector<int> seven(7);
  (void)pool.map(square, seven);
  EXPECT_EQ(seen->size, 7U);
  (void)pool.map(std::plus<int>(), seven, std::list<int>(5));
  EXPECT_EQ(seen->size, 5U);
  (void)pool.map(std::plus<int>(), seven, std::views::iota(0));
  EXPECT_EQ(seen->size, 7U);
  (void)pool.map(square, Generator(3));
  EXPECT_EQ(seen->size, std::nullopt);
  (void)pool.map(std::plus<int>(), seven, Generator(3));
  EXPECT_EQ(seen->size, std::nullopt);
  (void)pool.apply(square, 3);
  EXPECT_EQ(seen->size, 1U);
}

// --- several ranges -------------------------------------------------------------------------------------------------

TEST(PoolFace, zipped_ranges_end_with_the_shortest) {
  Pool pool = small_pieces();
  const std::vector<int> six{0, 1, 2, 3, 4, 5};
  const std::list<int> four{0, 1, 2, 3};
  EXPECT_EQ(pool.map(std::multiplies<int>(), six, four), squares(4));
  EXPECT_EQ(pool.map(std::multiplies<int>(), six, std::views::iota(0)), squares(6));
  EXPECT_EQ(pool.map(std::multiplies<int>(), Generator(5), six, {.chunksize = 2}), squares(5));
  EXPECT_EQ(pool.map(power, std::vector<double>{1, 2, 3}, std::vector<int>{3, 2, 1}), (std::vector<double>{1, 4, 3}));
  const auto outcomes = pool.map_outcomes(std::multiplies<int>(), six, four);
  ASSERT_EQ(outcomes.size(), 4U);
  EXPECT_EQ(outcomes[3].value(), 9);
}

TEST(PoolFace, up_to_six_ranges_are_zipped) {
  Pool pool = small_pieces();
  const std::vector<int> v{1, 2};
  const auto sum = [](auto... each) { return (each + ...); };
  EXPECT_EQ(pool.map(sum, v, v, v), (std::vector<int>{3, 6}));
  EXPECT_EQ(pool.map(sum, v, v, v, v), (std::vector<int>{4, 8}));
  EXPECT_EQ(pool.map(sum, v, v, v, v, v), (std::vector<int>{5, 10}));
  EXPECT_EQ(pool.map(sum, v, v, v, v, v, v, {.chunksize = 1}), (std::vector<int>{6, 12}));
  EXPECT_EQ(pool.map_outcomes(sum, v, v, v).back().value(), 6);
  EXPECT_EQ(pool.map_outcomes(sum, v, v, v, v).back().value(), 8);
  EXPECT_EQ(pool.map_outcomes(sum, v, v, v, v, v).back().value(), 10);
  EXPECT_EQ(pool.map_outcomes(sum, v, v, v, v, v, v).back().value(), 12);
}

TEST(PoolFace, zipped_elements_may_differ_in_kind) {
  const std::vector<std::string> words{"a", "bc"};
  const std::vector<bool> flags{true, false};
  const auto join = [](const std::string& word, bool flag, const char& mark) { return word + (flag ? mark : '-'); };
  EXPECT_EQ(serial_pool().map(join, words, flags, std::string("?!")), (std::vector<std::string>{"a?", "bc-"}));
}

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

// --- errors ---------------------------------------------------------------------------------------------------------

TEST(PoolFace, map_throws_the_error_of_the_lowest_index) {
  for (const int chunksize : {1, 2, 10}) {
    Pool pool = reversed_pool();
    EXPECT_EQ(error_of([&] { (void)pool.map(odd_only, {1, 3, 6, 5, 4, 2}, {.chunksize = chunksize}); }), "6 is even");
    EXPECT_EQ(error_of([&] {
                (void)pool.map([](int x) { return shout(std::to_string(odd_only(x))); }, {1, 8, 2});
              }),
              "8 is even");
  }
}

TEST(PoolFace, map_outcomes_keeps_every_value_and_error) {
  for (const int chunksize : {1, 3, 10}) {
    const auto outcomes = reversed_pool().map_outcomes(odd_only, {1, 2, 3, 4, 5}, {.chunksize = chunksize});
    ASSERT_EQ(outcomes.size(), 5U);
    for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(outcomes[i].has_value(), i % 2 == 0);
    EXPECT_EQ(outcomes[4].value(), 5);
    EXPECT_THROW((void)outcomes[1].value(), std::out_of_range);
  }
}

TEST(PoolFace, an_argument_that_cannot_be_written_is_an_error_at_the_caller) {
  Pool pool = serial_pool();
  const std::vector<Fussy> arguments{{.value = 1}, {.value = 2, .unwritable = true}};
  for (int times = 0; times < 2; ++times) {
    EXPECT_THROW((void)pool.map(value_of, arguments), std::length_error);
    EXPECT_THROW((void)pool.map_outcomes(value_of, arguments), std::length_error);
    EXPECT_THROW((void)pool.apply(value_of, arguments[1]), std::length_error);
  }
  EXPECT_EQ(pool.apply(value_of, arguments[0]), 1);
}

TEST(PoolFace, an_argument_that_cannot_be_read_is_its_tasks_error) {
  const std::vector<Fussy> arguments{{.value = 1}, {.value = 2, .unreadable = true}, {.value = 3}};
  const auto outcomes = serial_pool().map_outcomes(value_of, arguments, {.chunksize = 3});
  EXPECT_EQ(outcomes[0].value(), 1);
  EXPECT_EQ(outcomes[1].error_text(), "can't be read");
  EXPECT_EQ(outcomes[2].value(), 3);
}

TEST(PoolFace, a_result_that_cannot_be_written_is_a_serialization_error) {
  Pool pool = serial_pool();
  for (int times = 0; times < 20; ++times) {
    EXPECT_THROW((void)pool.apply(make_fussy, 1), rankpool::SerializationError);
  }
  const auto outcomes = pool.map_outcomes(make_fussy, {0, 1, 3}, {.chunksize = 3});
  EXPECT_EQ(outcomes[0].value().value, 0);
  EXPECT_THROW((void)outcomes[1].value(), rankpool::SerializationError);
  EXPECT_EQ(outcomes[2].value().value, 3);
}

TEST(PoolFace, a_result_that_cannot_be_read_is_its_tasks_error) {
  Pool pool = serial_pool();
  const auto outcomes = pool.map_outcomes(make_fussy, {0, 2, 3}, {.chunksize = 3});
  EXPECT_EQ(outcomes[0].value().value, 0);
  EXPECT_EQ(outcomes[1].error_text(), "can't be read");
  EXPECT_EQ(outcomes[2].value().value, 3);
  EXPECT_THROW((void)pool.map(make_fussy, {0, 2, 3}), std::length_error);
  EXPECT_THROW((void)pool.apply(make_fussy, 2), std::length_error);
}

TEST(PoolFace, a_pointer_hidden_in_an_argument_is_refused) {
  struct Hidden {
    Hidden() = default;
    explicit Hidden(const int* to) : address(reinterpret_cast<std::uintptr_t>(to)) {}
    std::uintptr_t address = 0;
    int more[40] = {};
  };
  const auto more = [](const Hidden& hidden) { return hidden.more[0]; };
  static const int target = 0;
  Pool pool = serial_pool();
  EXPECT_EQ(pool.apply(more, Hidden()), 0);
  EXPECT_THROW((void)pool.apply(more, Hidden(&target)), rankpool::PointerCapture);
  EXPECT_THROW((void)pool.map(more, std::vector{Hidden(&target)}), rankpool::PointerCapture);
  EXPECT_THROW((void)pool.map(more, std::list{Hidden(&target)}), rankpool::PointerCapture);
}

TEST(PoolFace, a_lambda_that_captures_by_reference_is_refused) {
  Pool pool = serial_pool();
  int offset = 3;
  EXPECT_THROW((void)pool.map([&offset](int x) { return x + offset; }, {1, 2}), rankpool::PointerCapture);
  EXPECT_EQ(pool.map([offset](int x) { return x + offset; }, {1, 2}), (std::vector<int>{4, 5}));
}

// --- inside a task --------------------------------------------------------------------------------------------------

TEST(PoolFace, calls_inside_a_task_are_refused_by_name) {
  Pool pool = serial_pool();
  const rankpool::task::TaskContext context{};
  const rankpool::task::CurrentTask current(context);
  const auto refused = [](const std::string& text, const std::string& call) {
    return text.find(call + " was called inside a task") != std::string::npos;
  };
  EXPECT_TRUE(refused(error_of([&] { (void)pool.map(square, {1}); }), "map"));
  EXPECT_TRUE(refused(error_of([&] { (void)pool.map_outcomes(square, {1}); }), "map_outcomes"));
  EXPECT_TRUE(refused(error_of([&] { (void)pool.starmap(square, {{1}}); }), "starmap"));
  EXPECT_TRUE(refused(error_of([&] { (void)pool.starmap_outcomes(square, {{1}}); }), "starmap_outcomes"));
  EXPECT_TRUE(refused(error_of([&] { (void)pool.apply(square, 1); }), "apply"));
  EXPECT_TRUE(refused(error_of([&] { pool.close(); }), "close"));
  EXPECT_TRUE(refused(error_of([&] { pool.join(); }), "join"));
  EXPECT_TRUE(refused(error_of([&] { pool.terminate(); }), "terminate"));
  EXPECT_TRUE(refused(error_of([&] { pool.shutdown(); }), "shutdown"));
  EXPECT_THROW((void)pool.map(square, {1}), std::logic_error);
}

TEST(ThisTask, answers_for_the_running_task) {
  rankpool::test::HeapResults results(42);
  const rankpool::task::TaskContext context{.results = &results, .attempt = 3, .rank = 1, .slot = 5, .host = "n1"};
  const rankpool::task::CurrentTask current(context);
  EXPECT_EQ(rankpool::this_task::index(), 42U);
  results.commit(0);
  EXPECT_EQ(rankpool::this_task::index(), 43U);
  EXPECT_EQ(rankpool::this_task::attempt(), 3U);
  EXPECT_EQ(rankpool::this_task::rank(), 1);
  EXPECT_EQ(rankpool::this_task::slot(), 5);
  EXPECT_EQ(rankpool::this_task::host(), "n1");
}

TEST(ThisTask, hears_when_it_is_to_stop) {
  std::atomic<std::uint32_t> stop{0};
  const rankpool::task::TaskContext context{.stop = &stop};
  const rankpool::task::CurrentTask current(context);
  EXPECT_FALSE(rankpool::this_task::stop_requested());
  stop = 1;
  EXPECT_TRUE(rankpool::this_task::stop_requested());
}

TEST(ThisTask, outside_a_task_says_so) {
  EXPECT_THROW((void)rankpool::this_task::index(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::attempt(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::rank(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::slot(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::stop_requested(), std::logic_error);
  const std::string text = error_of([] { (void)rankpool::this_task::host(); });
  EXPECT_NE(text.find("this_task::host() was called outside a task"), std::string::npos) << text;
}

// --- life cycle -----------------------------------------------------------------------------------------------------

TEST(PoolFace, a_pool_that_goes_out_of_scope_closes_and_joins) {
  const auto seen = std::make_shared<Seen>();
  { const Pool pool(std::make_unique<SerialRunner>(seen)); }
  EXPECT_EQ(seen->life, (std::vector<std::string>{"close", "join"}));
}

TEST(PoolFace, a_pool_that_an_exception_destroys_terminates) {
  const auto seen = std::make_shared<Seen>();
  try {
    const Pool pool(std::make_unique<SerialRunner>(seen));
    throw std::runtime_error("flying");
  } catch (const std::runtime_error&) {
    EXPECT_EQ(seen->life, (std::vector<std::string>{"terminate", "join"}));
  }
}

TEST(PoolFace, a_pool_used_while_another_exception_flies_closes_and_joins) {
  const auto seen = std::make_shared<Seen>();
  struct Cleanup {
    std::shared_ptr<Seen> seen;
    ~Cleanup() { const Pool pool(std::make_unique<SerialRunner>(seen)); }
  };
  try {
    const Cleanup cleanup{seen};
    throw std::runtime_error("flying");
  } catch (const std::runtime_error&) {
    EXPECT_EQ(seen->life, (std::vector<std::string>{"close", "join"}));
  }
}

TEST(PoolFace, a_moved_pool_is_ended_once) {
  const auto first = std::make_shared<Seen>();
  const auto second = std::make_shared<Seen>();
  {
    Pool pool(std::make_unique<SerialRunner>(first));
    Pool moved(std::move(pool));
    EXPECT_TRUE(first->life.empty());
    EXPECT_EQ(moved.apply(square, 3), 9);
    EXPECT_THROW((void)pool.apply(square, 3), rankpool::PoolClosed);  // NOLINT(bugprone-use-after-move): says so
    moved = Pool(std::make_unique<SerialRunner>(second));
    EXPECT_EQ(first->life, (std::vector<std::string>{"close", "join"}));
    EXPECT_TRUE(second->life.empty());
  }
  EXPECT_EQ(first->life.size(), 2U);
  EXPECT_EQ(second->life, (std::vector<std::string>{"close", "join"}));
}

TEST(PoolFace, shutdown_closes_cancels_and_waits_as_told) {
  using Life = std::vector<std::string>;
  const auto life_of = [](rankpool::ShutdownOptions options) {
    const auto seen = std::make_shared<Seen>();
    Pool pool(std::make_unique<SerialRunner>(seen));
    pool.shutdown(options);
    return seen->life;
  };
  EXPECT_EQ(life_of({}), (Life{"close", "join"}));
  EXPECT_EQ(life_of({.wait = false}), (Life{"close"}));
  EXPECT_EQ(life_of({.cancel_pending = true}), (Life{"close", "cancel_pending", "join"}));
  EXPECT_EQ(life_of({.cancel_pending = true, .wait = false}), (Life{"close", "cancel_pending"}));
}

TEST(PoolFace, a_closed_pool_takes_no_calls) {
  Pool pool = serial_pool();
  EXPECT_EQ(pool.state(), PoolState::running);
  EXPECT_EQ(pool.processes(), 1);
  EXPECT_EQ(pool.name(), "serial");
  EXPECT_EQ(error_of([&] { pool.join(); }), "the pool is still running");
  pool.close();
  EXPECT_EQ(pool.state(), PoolState::closed);
  EXPECT_EQ(error_of([&] { (void)pool.map(square, {1}); }), "Pool not running");
  pool.terminate();
  EXPECT_EQ(pool.state(), PoolState::terminated);
  EXPECT_THROW((void)pool.apply(square, 1), rankpool::PoolClosed);
}

TEST(PoolFace, a_call_tells_its_options_and_its_name) {
  using namespace std::chrono_literals;
  const auto seen = std::make_shared<Seen>();
  Pool pool(std::make_unique<SerialRunner>(seen));
  (void)pool.map(square, {1, 2}, {.chunksize = 7, .max_attempts = 2, .schedule = Schedule::guided, .timeout = 1500ms});
  EXPECT_EQ(seen->spec->what, "map");
  EXPECT_EQ(seen->spec->chunksize, 7U);
  EXPECT_EQ(seen->spec->max_attempts, 2U);
  EXPECT_EQ(seen->spec->schedule, Schedule::guided);
  EXPECT_EQ(seen->spec->timeout->count(), 1.5);
  EXPECT_EQ(seen->spec->input_stride, sizeof(int));
  (void)pool.starmap_outcomes(power, {{2, 2}});
  EXPECT_EQ(seen->spec->what, "starmap_outcomes");
  EXPECT_EQ(seen->spec->chunksize, 0U);
  EXPECT_FALSE(seen->spec->max_attempts || seen->spec->schedule || seen->spec->timeout);
  (void)pool.map(shout, {"a"});
  EXPECT_EQ(seen->spec->input_stride, rankpool::detail::variable_stride);
  (void)pool.apply([] { return 1; });
  EXPECT_EQ(seen->spec->input_stride, 0U);
  EXPECT_EQ(seen->spec->what, "apply");
}

namespace {

/// Standard output is a pipe while it lives, and so is buffered by the block, as under mpirun.
class PipedOutput {
 public:
  PipedOutput() : saved_(dup(STDOUT_FILENO)) {
    std::fflush(stdout);
    if (pipe(ends_.data()) != 0) throw std::runtime_error("no pipe");
    dup2(ends_[1], STDOUT_FILENO);
    static std::array<char, 4096> buffer;
    std::setvbuf(stdout, buffer.data(), _IOFBF, buffer.size());
    fcntl(ends_[0], F_SETFL, O_NONBLOCK);
  }
  PipedOutput(const PipedOutput&) = delete;
  PipedOutput& operator=(const PipedOutput&) = delete;
  ~PipedOutput() {
    dup2(saved_, STDOUT_FILENO);
    for (const int fd : {ends_[0], ends_[1], saved_}) close(fd);
  }

  /// What has come through since the last time.
  std::string read() {
    std::array<char, 256> text;
    const ssize_t bytes = ::read(ends_[0], text.data(), text.size());
    return bytes < 0 ? "" : std::string(text.data(), static_cast<std::size_t>(bytes));
  }

 private:
  int saved_;
  std::array<int, 2> ends_{};
};

PipedOutput* piped = nullptr;

/// Prints in one task, and returns what came through of the tasks before it.
std::string print_with_c(int task) {
  std::string before = piped->read();
  std::printf("task %d\n", task);
  return before;
}
std::string print_with_cpp(int task) {
  std::string before = piped->read();
  std::cout << "task " << task << '\n';
  return before;
}
[[noreturn]] void print_and_throw(int task) {
  std::printf("task %d\n", task);
  throw std::runtime_error("thrown");
}

}  // namespace

TEST(TaskOutput, each_task_prints_before_the_next_one_runs) {
  PipedOutput output;
  piped = &output;
  const rankpool::MapOptions one_chunk{.chunksize = 3};
  EXPECT_EQ(serial_pool().map(print_with_c, {1, 2, 3}, one_chunk),
            (std::vector<std::string>{"", "task 1\n", "task 2\n"}));
  EXPECT_EQ(output.read(), "task 3\n");
  EXPECT_EQ(serial_pool().map(print_with_cpp, {1, 2, 3}, one_chunk),
            (std::vector<std::string>{"", "task 1\n", "task 2\n"}));
  EXPECT_EQ(output.read(), "task 3\n");
}

TEST(TaskOutput, a_task_that_throws_prints_too) {
  PipedOutput output;
  EXPECT_THROW(serial_pool().map(print_and_throw, {1}), std::runtime_error);
  EXPECT_EQ(output.read(), "task 1\n");
}

TEST(TaskOutput, cpp_streams_with_a_memory_of_their_own_are_flushed) {
  struct Collecting : std::stringbuf {
    int sync() override {
      flushed += str();
      str("");
      return 0;
    }
    std::string flushed;
  };
  Collecting collecting;
  collecting.sputn("x", 1);  // has memory from now on
  std::streambuf* before = std::cout.rdbuf(&collecting);
  static const Collecting* seen;
  seen = &collecting;
  const auto print = [](int task) {
    std::string flushed = seen->flushed;
    std::cout << task;
    return flushed;
  };
  const auto results = serial_pool().map(print, {1, 2, 3}, {.chunksize = 3});
  std::cout.rdbuf(before);
  EXPECT_EQ(results, (std::vector<std::string>{"", "x1", "x12"}));
  EXPECT_EQ(collecting.flushed, "x123");
}
