// The tasks' random numbers are given by seed, call and index, whoever runs them. Each case has a pool of its own,
// whose first call has the number 1.
#include "pool/pool_test.hpp"

#include <cstdint>
#include <ranges>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Schedule;

constexpr std::uint64_t seed = 42;

/// Takes more numbers the higher its index is: what a task leaves of its stream must not reach the next.
std::uint64_t draw(rankpool::TaskRng& rng, std::uint64_t index) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i <= index % 20; ++i) sum += rng();
  return sum;
}
std::uint64_t draw_in_task(std::uint64_t index) { return draw(rankpool::this_task::rng(), index); }

/// What a serial loop gets that takes the place of the pool's n-th call.
std::vector<std::uint64_t> drawn_serially(std::uint64_t tasks, std::uint64_t call) {
  std::vector<std::uint64_t> sums;
  for (std::uint64_t i = 0; i < tasks; ++i) {
    rankpool::TaskRng rng = rankpool::task_rng(seed, i, call);
    sums.push_back(draw(rng, i));
  }
  return sums;
}

TEST(Random, is_that_of_a_serial_loop_for_any_chunks_and_schedule) {
  constexpr std::uint64_t tasks = 500;
  const auto inputs = std::views::iota(std::uint64_t{0}, tasks);
  EXPECT_EQ(pool().map(draw_in_task, inputs), drawn_serially(tasks, 1));
  EXPECT_EQ(pool().map(draw_in_task, inputs, {.chunksize = 1}), drawn_serially(tasks, 2));
  EXPECT_EQ(pool().map(draw_in_task, inputs, {.chunksize = 7}), drawn_serially(tasks, 3));
  std::uint64_t call = 3;
  for (const auto schedule : {Schedule::static_, Schedule::dynamic, Schedule::guided, Schedule::factoring}) {
    EXPECT_EQ(pool().map(draw_in_task, inputs, {.schedule = schedule}), drawn_serially(tasks, ++call));
  }
}

TEST(Random, of_a_pools_only_call_is_that_of_a_loop_that_counts_no_calls) {
  std::vector<std::uint64_t> sums;
  for (std::uint64_t i = 0; i < 30; ++i) {
    rankpool::TaskRng rng = rankpool::task_rng(seed, i);
    sums.push_back(draw(rng, i));
  }
  EXPECT_EQ(pool().map(draw_in_task, std::views::iota(std::uint64_t{0}, std::uint64_t{30})), sums);
}

TEST(Random, of_each_kind_of_call_has_that_calls_number) {
  EXPECT_EQ(pool().apply(draw_in_task, 0), drawn_serially(1, 1)[0]);
  EXPECT_EQ(pool().submit(draw_in_task, 0).get(), drawn_serially(1, 2)[0]);
  std::vector<std::uint64_t> streamed;
  for (const std::uint64_t sum : pool().imap(draw_in_task, std::views::iota(std::uint64_t{0}, std::uint64_t{100}))) {
    streamed.push_back(sum);
  }
  EXPECT_EQ(streamed, drawn_serially(100, 3));
  EXPECT_EQ(pool().map_async(draw_in_task, std::vector<std::uint64_t>{0, 1, 2}).get(), drawn_serially(3, 4));
}

std::uint64_t draw_and_die_first(std::uint64_t index) {
  const std::uint64_t sum = draw_in_task(index);
  if (index % 10 == 3 && rankpool::this_task::attempt() == 1) _exit(1);
  return sum;
}

TEST(Random, is_the_same_when_a_task_is_tried_again) {
  EXPECT_EQ(pool().map(draw_and_die_first, std::views::iota(std::uint64_t{0}, std::uint64_t{40})),
            drawn_serially(40, 1));
}

int failures = 0;

void run_case(int argc, char** argv, const std::string& name, int processes) {
  failures += run_cases(argc, argv, "Random." + name, {.processes = processes, .seed = seed});
}

}  // namespace

int main(int argc, char** argv) {
  for (const int processes : {1, 2, 7}) {
    run_case(argc, argv, "is_that_of_a_serial_loop_for_any_chunks_and_schedule", processes);
  }
  run_case(argc, argv, "of_a_pools_only_call_is_that_of_a_loop_that_counts_no_calls", 2);
  run_case(argc, argv, "of_each_kind_of_call_has_that_calls_number", 2);
  const bool is_inline = argc == 2 && std::string(argv[1]) == "inline";  // a crash would be the master's
  if (!is_inline) run_case(argc, argv, "is_the_same_when_a_task_is_tried_again", 2);
  return failures == 0 ? 0 : 1;
}
