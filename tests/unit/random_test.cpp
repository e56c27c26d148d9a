// Philox as published, and the numbers that tasks have of it.
#include "task/random.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include <rankpool/random.hpp>

#include "heap_memory.hpp"
#include "task/this_task.hpp"

namespace rankpool {
namespace {

using Words = std::array<std::uint32_t, 4>;

std::vector<std::uint64_t> numbers(TaskRng rng, int count) {
  std::vector<std::uint64_t> all;
  for (int i = 0; i < count; ++i) all.push_back(rng());
  return all;
}

static_assert(std::uniform_random_bit_generator<TaskRng>);

// The vectors for "philox4x32 10" that come with Random123.
TEST(Philox, gives_what_is_published) {
  EXPECT_EQ(task::philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t ones = 0xffffffff;
  EXPECT_EQ(task::philox({ones, ones, ones, ones}, {ones, ones}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(task::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// A sweep that is continued with the next version must go on with the same numbers.
TEST(TaskRng, gives_the_same_numbers_in_every_version) {
  EXPECT_EQ(numbers(task_rng(0, 0), 2), (std::vector<std::uint64_t>{10681654649398776014U, 13169282240302830912U}));
  EXPECT_EQ(numbers(task_rng(42, 7, 3), 2), (std::vector<std::uint64_t>{18438907336108245082U, 1461588828035900406U}));
}

TEST(TaskRng, differs_for_every_seed_call_and_task) {
  std::set<std::uint64_t> seen;
  for (const std::uint64_t seed : {0ULL, 1ULL, 1ULL << 32U, ~0ULL}) {
    for (const std::uint64_t call : {1ULL, 2ULL, 1ULL << 32U}) {
      for (const std::uint64_t task : {0ULL, 1ULL, 1ULL << 32U, ~0ULL}) {
        for (const std::uint64_t number : numbers(task_rng(seed, task, call), 50)) seen.insert(number);
      }
    }
  }
  EXPECT_EQ(seen.size(), 4U * 3 * 4 * 50);
}

TEST(TaskRng, passes_over_numbers_as_if_they_were_taken) {
  const auto all = numbers(task_rng(1, 2), 200);
  for (const std::uint64_t before : {0U, 1U, 15U, 16U, 17U}) {
    for (const std::uint64_t passed : {0U, 1U, 2U, 14U, 15U, 16U, 17U, 31U, 32U, 33U, 101U}) {
      TaskRng rng = task_rng(1, 2);
      for (std::uint64_t i = 0; i < before; ++i) (void)rng();
      rng.discard(passed);
      EXPECT_EQ(rng(), all[before + passed]) << before << ' ' << passed;
    }
  }
  TaskRng far = task_rng(1, 2);
  far.discard(std::uint64_t{1} << 62U);
  EXPECT_NE(far(), all[0]);
}

TEST(TaskRng, is_equal_to_another_where_the_same_numbers_follow) {
  TaskRng one = task_rng(1, 2);
  TaskRng other = one;
  EXPECT_EQ(one, other);
  one.discard(40);
  EXPECT_FALSE(one == other);
  for (int i = 0; i < 40; ++i) (void)other();
  EXPECT_EQ(one, other);
  EXPECT_FALSE(one == task_rng(1, 3));
}

TEST(TaskRng, is_taken_by_the_standard_distributions) {
  TaskRng rng = task_rng(5, 0);
  std::uniform_real_distribution<double> uniform;
  double sum = 0;
  constexpr int count = 100'000;
  for (int i = 0; i < count; ++i) sum += uniform(rng);
  // The mean's standard error is 0.0009.
  EXPECT_NEAR(sum / count, 0.5, 0.005);
}

/// The first number of a task, as if it ran in this thread.
std::uint64_t first_number(std::uint64_t seed, std::uint64_t call, std::uint64_t index) {
  test::HeapResults results(index);
  const task::Workplace workplace{.seed = seed};
  const task::TaskContext context{.results = &results, .workplace = &workplace, .call = call, .random_numbers = call};
  const task::CurrentTask current(context);
  return this_task::rng()();
}

TEST(TaskRng, of_the_running_task_begins_anew_with_each_task) {
  for (const std::uint64_t index : {3U, 4U, 3U}) EXPECT_EQ(first_number(9, 2, index), task_rng(9, index, 2)());
  EXPECT_EQ(first_number(9, 3, 3), task_rng(9, 3, 3)());
  task::forget_random_numbers();
  EXPECT_EQ(first_number(9, 3, 3), task_rng(9, 3, 3)());
}

TEST(TaskRng, of_the_running_task_goes_on_within_it) {
  test::HeapResults results(0);
  const task::Workplace workplace{.seed = 1};
  const task::TaskContext context{.results = &results, .workplace = &workplace, .call = 1, .random_numbers = 1};
  const task::CurrentTask current(context);
  task::forget_random_numbers();
  const auto expected = numbers(task_rng(1, 0), 3);
  for (const std::uint64_t number : expected) EXPECT_EQ(this_task::rng()(), number);
  results.commit(0);
  EXPECT_EQ(this_task::rng()(), task_rng(1, 1)());
}

}  // namespace
}  // namespace rankpool
