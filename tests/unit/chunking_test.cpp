#include "scheduler/chunking.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace rankpool::scheduler {
namespace {

/// Sizes of all chunks of a call dealt as one lot.
std::vector<std::uint64_t> chunks_of(const ChunkPolicy& policy) {
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t next = 0; next < policy.total; next += sizes.back()) {
    sizes.push_back(next_chunk(policy, next, policy.total));
    if (sizes.back() == 0) break;
  }
  return sizes;
}

TEST(Chunking, is_usable_at_compile_time) {
  static_assert(next_chunk({.schedule = Schedule::dynamic, .chunksize = 7}, 0, 100) == 7);
  constexpr std::uint64_t timed = [] {
    ChunkTimer timer;
    timer.record(1, 1000);
    return timer.tasks();
  }();
  static_assert(timed == ChunkTimer::most_growth);
}

TEST(Chunking, dynamic_takes_the_chunksize_or_one) {
  EXPECT_EQ(next_chunk({.schedule = Schedule::dynamic, .total = 100, .executors = 4}, 0, 100), 1U);
  EXPECT_EQ(chunks_of({.schedule = Schedule::dynamic, .chunksize = 40, .total = 100, .executors = 4}),
            (std::vector<std::uint64_t>{40, 40, 20}));
}

TEST(Chunking, static_gives_each_executor_one_equal_chunk) {
  EXPECT_EQ(chunks_of({.schedule = Schedule::static_, .total = 10, .executors = 4}),
            (std::vector<std::uint64_t>{3, 3, 3, 1}));
  EXPECT_EQ(chunks_of({.schedule = Schedule::static_, .chunksize = 5, .total = 10, .executors = 4}),
            (std::vector<std::uint64_t>{5, 5}));
}

TEST(Chunking, guided_takes_a_share_of_the_rest) {
  EXPECT_EQ(chunks_of({.schedule = Schedule::guided, .total = 20, .executors = 4}),
            (std::vector<std::uint64_t>{5, 4, 3, 2, 2, 1, 1, 1, 1}));
  EXPECT_EQ(chunks_of({.schedule = Schedule::guided, .chunksize = 4, .total = 20, .executors = 4}),
            (std::vector<std::uint64_t>{5, 4, 4, 4, 3}));
}

TEST(Chunking, factoring_deals_batches_of_equal_chunks) {
  EXPECT_EQ(chunks_of({.schedule = Schedule::factoring, .total = 100, .executors = 2}),
            (std::vector<std::uint64_t>{25, 25, 13, 13, 6, 6, 3, 3, 2, 2, 1, 1}));
  EXPECT_EQ(chunks_of({.schedule = Schedule::factoring, .chunksize = 10, .total = 100, .executors = 2}),
            (std::vector<std::uint64_t>{25, 25, 13, 13, 10, 10, 4}));
}

TEST(Chunking, automatic_takes_the_chunksize_when_given) {
  EXPECT_EQ(next_chunk({.chunksize = 30, .total = 1000, .executors = 4, .measured = 5}, 0, 1000), 30U);
}

TEST(Chunking, automatic_starts_with_one_task_and_then_takes_what_was_measured) {
  EXPECT_EQ(next_chunk({.total = 1000, .executors = 4}, 0, 1000), 1U);
  EXPECT_EQ(next_chunk({.total = 1000, .executors = 4, .measured = 20}, 0, 1000), 20U);
}

TEST(Chunking, automatic_shrinks_towards_the_end) {
  const ChunkPolicy policy{.total = 1000, .executors = 4, .measured = 1'000'000};
  EXPECT_EQ(next_chunk(policy, 0, 1000), 125U);
  EXPECT_EQ(next_chunk(policy, 920, 1000), 10U);
  EXPECT_EQ(next_chunk(policy, 999, 1000), 1U);
}

TEST(Chunking, every_policy_covers_the_lot_and_stays_in_it) {
  for (const Schedule schedule :
       {Schedule::automatic, Schedule::static_, Schedule::dynamic, Schedule::guided, Schedule::factoring}) {
    for (const std::uint64_t chunksize : {0U, 1U, 3U, 1000U}) {
      for (const std::uint64_t total : {0U, 1U, 7U, 50U, 1000U}) {  // known short: 0, 1, 7
        for (const std::uint32_t executors : {0U, 1U, 3U, 100U, 4'000'000'000U}) {
          const ChunkPolicy policy{schedule, chunksize, total, executors, total};
          for (std::uint64_t next = 20; next < 50;) {
            const std::uint64_t chunk = next_chunk(policy, next, 50);
            ASSERT_GE(chunk, 1U);
            ASSERT_LE(chunk, 50 - next);
            next += chunk;
          }
          EXPECT_EQ(next_chunk(policy, 50, 50), 0U);
        }
      }
    }
  }
}

TEST(Chunking, the_largest_numbers_do_not_overflow) {
  constexpr std::uint64_t most = ~std::uint64_t{0};
  for (const Schedule schedule :
       {Schedule::automatic, Schedule::static_, Schedule::dynamic, Schedule::guided, Schedule::factoring}) {
    for (const std::uint64_t next : {std::uint64_t{0}, most / 2, most - 1}) {
      const std::uint64_t chunk = next_chunk({schedule, 0, most, 7, most}, next, most);
      EXPECT_GE(chunk, 1U);
      EXPECT_LE(chunk, most - next);
    }
  }
}

TEST(ChunkTimer, is_unmeasured_at_first) { EXPECT_EQ(ChunkTimer{}.tasks(), 0U); }

TEST(ChunkTimer, approaches_the_target_in_bounded_steps) {
  ChunkTimer timer;
  std::uint64_t count = 1;
  for (int step = 0; step < 10; ++step) {
    timer.record(count, static_cast<Nanoseconds>(count) * 10);  // 10 ns a task: 10,000 fill 100 us
    EXPECT_LE(timer.tasks(), count * ChunkTimer::most_growth);
    count = timer.tasks();
  }
  EXPECT_EQ(count, 10'000U);
}

TEST(ChunkTimer, long_tasks_go_one_by_one) {
  ChunkTimer timer;
  timer.record(1, 2'000'000'000);
  EXPECT_EQ(timer.tasks(), 1U);
}

TEST(ChunkTimer, one_odd_measurement_makes_no_giant_chunk) {
  ChunkTimer timer;
  for (int i = 0; i < 20; ++i) timer.record(100, 100'000);
  EXPECT_EQ(timer.tasks(), 100U);
  timer.record(100, 0);
  EXPECT_LE(timer.tasks(), 200U);
}

TEST(ChunkTimer, follows_tasks_that_become_slower) {
  ChunkTimer timer;
  for (int i = 0; i < 20; ++i) timer.record(100, 100'000);
  for (int i = 0; i < 40; ++i) timer.record(1, 50'000);
  EXPECT_LE(timer.tasks(), 2U);
}

TEST(ChunkTimer, chunks_without_time_or_tasks_are_harmless) {
  ChunkTimer timer;
  timer.record(0, 1000);
  EXPECT_EQ(timer.tasks(), 0U);
  for (int i = 0; i < 100; ++i) timer.record(~std::uint64_t{0}, 0);
  EXPECT_GE(timer.tasks(), 1U);
  timer.record(1, -5);
  EXPECT_GE(timer.tasks(), 1U);
}

}  // namespace
}  // namespace rankpool::scheduler
