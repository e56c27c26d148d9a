// What a pool's calls do with the ranges they are given.
#include <array>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "counting.hpp"
#include "serial_runner.hpp"
#include "tasks.hpp"

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Pool;

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
  EXPECT_TRUE(pool.map(square, Source(0)).empty());
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
  EXPECT_EQ(pool.map(square, Source(5)), squares(5));
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
  Source inputs(3);
  rankpool::detail::MapSource<Source&>::type source(inputs);
  HeapPiece first(sizeof(int), 2);
  EXPECT_TRUE(source.draw(first));
  EXPECT_EQ(inputs.drawn(), 2);
  HeapPiece second(sizeof(int), 1);
  EXPECT_TRUE(source.draw(second));  // whether there is a fourth is not known before it is asked for
  EXPECT_EQ(inputs.drawn(), 3);
  HeapPiece third(sizeof(int), 1);
  EXPECT_FALSE(source.draw(third));
  EXPECT_EQ(third.tasks(), 0U);
}

TEST(InputSource, a_multi_pass_range_tells_its_end_with_its_last_element) {
  std::list<int> list{1, 2, 3};
  rankpool::detail::MapSource<std::list<int>&>::type source(list);
  HeapPiece first(sizeof(int), 2);
  EXPECT_TRUE(source.draw(first));
  HeapPiece second(sizeof(int), 1);
  EXPECT_FALSE(source.draw(second));
  EXPECT_EQ(second.tasks(), 1U);
}

TEST(InputSource, what_was_drawn_before_a_range_threw_stands) {
  Source inputs(10, 7);
  rankpool::detail::MapSource<Source&>::type source(inputs);
  HeapPiece piece(sizeof(int), 100);
  EXPECT_THROW(source.draw(piece), std::domain_error);
  ASSERT_EQ(piece.tasks(), 7U);
  EXPECT_EQ(rankpool::detail::decode<int>(piece.chunk(6, 1).input(0)), 6);
}

TEST(PoolFace, what_a_range_throws_is_thrown_by_map_as_it_is) {
  Pool pool = small_pieces();
  for (const int bad : {0, 3, 7}) {
    for (int times = 0; times < 2; ++times) {
      Source inputs(10, bad);
      try {
        (void)pool.map(square, inputs);
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
  (void)pool.map(square, Source(3));
  EXPECT_EQ(seen->size, std::nullopt);
  (void)pool.map(std::plus<int>(), seven, Source(3));
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
  EXPECT_EQ(pool.map(std::multiplies<int>(), Source(5), six, {.chunksize = 2}), squares(5));
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
