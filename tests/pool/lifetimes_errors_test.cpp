// How long arguments, results and exceptions live where a call goes wrong.
#include "pool/lifetimes.hpp"

#include <chrono>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;             // NOLINT(google-build-using-namespace)
using namespace rankpool::test::lifetimes;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;
using rankpool::TimeoutError;

TEST_F(Lifetime, of_results_ends_with_the_call_where_a_task_fails) {
  const auto fails = rankpool::bind(fail_on, 61);
  for (const int chunksize : {0, 1, 30}) {
    EXPECT_THROW((void)pool().map(fails, arguments(100), {.chunksize = chunksize}), CountedError);
    expect_nothing_left();
    const auto outcomes = pool().map_outcomes(fails, arguments(100), {.chunksize = chunksize});
    EXPECT_EQ(Result::live, 99);
    EXPECT_TRUE(is_a<CountedError>(outcomes.at(61).exception()));
  }
  EXPECT_THROW((void)pool().apply(fails, Argument(61)), CountedError);
  auto stream = pool().imap(fails, arguments(100));
  for (int i = 0; i < 61; ++i) (void)stream.next();
  EXPECT_THROW((void)stream.next(), CountedError);
}

TEST_F(Lifetime, of_the_other_results_ends_when_a_future_has_an_error) {
  const auto future = pool().map_async(rankpool::bind(fail_on, 61), arguments(100));
  EXPECT_THROW((void)future.get(), CountedError);
  EXPECT_TRUE(eventually([] { return Result::live == 0; })) << Result::live;
}

TEST_F(Lifetime, of_results_ends_with_the_call_where_an_executor_dies) {
  const auto dies = rankpool::bind(die_at, 61);
  for (const int chunksize : {1, 30}) {
    EXPECT_THROW((void)pool().map(dies, arguments(100), {.chunksize = chunksize, .max_attempts = 1}),
                 rankpool::WorkerLost);
    expect_nothing_left();
  }
  expect_nothing_left_in_executors();
}

TEST_F(Lifetime, of_all_ends_when_the_range_throws) {
  const auto inputs = std::views::iota(0, 100) | std::views::transform([](int i) {
                        if (i == 70) throw std::length_error("drawn");
                        return Argument(i);
                      });
  EXPECT_THROW((void)pool().map(make, inputs, {.chunksize = 5}), std::length_error);
  expect_nothing_left();
  EXPECT_THROW((void)pool().map_async(make, inputs, {.chunksize = 5}), std::length_error);
  expect_nothing_left();
  auto stream = pool().imap(make, inputs, {.chunksize = 5});
  for (int i = 0; i < 70; ++i) (void)stream.next();
  EXPECT_THROW((void)stream.next(), std::length_error);
  expect_nothing_left();
  expect_nothing_left_in_executors();
}

TEST_F(Lifetime, of_results_ends_when_the_time_has_passed) {
  EXPECT_THROW((void)pool().map(make_slowly, arguments(10'000), {.chunksize = 1, .timeout = 50ms}), TimeoutError);
  expect_nothing_left();
  const auto future = pool().map_async(make_slowly, arguments(10'000), {.chunksize = 1, .timeout = 50ms});
  EXPECT_THROW((void)future.get(), TimeoutError);
  EXPECT_TRUE(eventually([] { return Result::live == 0; })) << Result::live;
  auto stream = pool().imap(make_slowly, endless_arguments(), {.chunksize = 1, .timeout = 50ms});
  EXPECT_THROW(for (;;)(void) stream.next(), TimeoutError);
  EXPECT_TRUE(eventually([] { return Result::live == 0; })) << Result::live;
}

TEST_F(Lifetime, of_results_ends_when_the_call_is_cancelled) {
  const auto future = pool().map_async(make_slowly, arguments(10'000), {.chunksize = 1});
  EXPECT_TRUE(eventually([] { return Result::live > 0; }));
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(eventually([] { return Result::live == 0; })) << Result::live;
  EXPECT_THROW((void)future.get(), CancelledError);
}

TEST_F(Lifetime, of_a_result_whose_future_was_dropped_ends_at_once) {
  const ScratchFile file;
  const auto task = [](const std::string& path, const Argument& argument) {
    append_line(path, "1");
    return Result(argument.number());
  };
  const int before = Result::received;
  for (int i = 0; i < 20; ++i) (void)pool().submit(rankpool::bind(task, file.path()), Argument(i));
  EXPECT_TRUE(eventually([&] { return file.numbers<std::vector<int>>().size() == 20; }));
  // Those of other nodes come later than the lines in the file.
  EXPECT_TRUE(eventually([&] { return Result::received == before + 20; })) << Result::received - before;
}

}  // namespace
