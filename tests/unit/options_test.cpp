// Options as users write them. This file is compiled with all warnings as errors: a warning here is one for every user.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "serial_runner.hpp"

#pragma GCC diagnostic error "-Wall"
#pragma GCC diagnostic error "-Wextra"
#pragma GCC diagnostic error "-Wconversion"
#pragma GCC diagnostic error "-Wsign-conversion"
#pragma GCC diagnostic error "-Wmissing-field-initializers"

using rankpool::Count;
using rankpool::MapOptions;
using rankpool::PoolOptions;
using rankpool::Schedule;
using rankpool::detail::CallSpec;
using namespace std::chrono_literals;

namespace {

int initialized = 0;
void initialize() { initialized = 1; }
void initialize_with(int value, const std::string& text) { initialized = value + static_cast<int>(text.size()); }

/// Runs an initializer as an executor does.
void run(const rankpool::Initializer& initializer) {
  ASSERT_FALSE(initializer.empty());
  void* callable = initializer.kernel()->load(initializer.callable());
  rankpool::test::HeapResults results(0);
  rankpool::detail::Chunk chunk;
  chunk.count = 1;
  chunk.results = &results;
  initializer.kernel()->run(callable, chunk);
  initializer.kernel()->unload(callable);
  EXPECT_EQ(results.finished(), 1U);
}

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no std::invalid_argument";
}

CallSpec spec_of(const MapOptions& options) {
  CallSpec spec;
  rankpool::detail::set_options(spec, options);
  return spec;
}

}  // namespace

TEST(Options, are_written_like_keywords_without_a_warning) {
  const std::size_t many = 12;
  const long few = 2;
  const PoolOptions all{.grace = 2min,
                        .initializer = initialize,
                        .max_attempts = few,
                        .max_tasks_per_child = std::uint8_t{10},
                        .memory_limit = std::size_t{1} << 30U,
                        .name = "sweep",
                        .processes = many,
                        .seed = 42,
                        .task_timeout = 90s,
                        .threads_per_task = 2U};
  EXPECT_EQ(all.processes.value("processes"), 12U);
  EXPECT_EQ(all.max_attempts.value("max_attempts"), 2U);
  EXPECT_EQ(all.max_tasks_per_child.value("max_tasks_per_child"), 10U);
  EXPECT_EQ(all.memory_limit.value("memory_limit"), std::uint64_t{1} << 30U);
  EXPECT_EQ(all.threads_per_task.value("threads_per_task"), 2U);
  EXPECT_EQ(all.name, "sweep");
  EXPECT_EQ(all.seed.value("seed"), 42U);
  EXPECT_EQ(all.grace->count(), 120);
  EXPECT_EQ(all.task_timeout->count(), 90);

  const PoolOptions one{.processes = 3};
  EXPECT_TRUE(one.initializer.empty());
  EXPECT_TRUE(one.name.empty());
  EXPECT_EQ(one.max_attempts.value("max_attempts"), 0U);

  const MapOptions call{
      .chunksize = many, .max_attempts = 1, .schedule = Schedule::static_, .task_timeout = 1.5s, .timeout = 2s};
  EXPECT_EQ(call.chunksize.value("chunksize"), 12U);
  EXPECT_EQ(call.schedule, Schedule::static_);
  EXPECT_EQ(call.task_timeout->count(), 1.5);
  EXPECT_EQ(call.timeout->count(), 2);
}

TEST(Options, durations_of_any_unit_are_seconds) {
  EXPECT_EQ(MapOptions{.timeout = 2s}.timeout->count(), 2.0);
  EXPECT_EQ(MapOptions{.timeout = 100ms}.timeout->count(), 0.1);
  EXPECT_EQ(MapOptions{.timeout = 2.5s}.timeout->count(), 2.5);
  EXPECT_EQ(MapOptions{.timeout = 1min}.timeout->count(), 60.0);
  EXPECT_FALSE(MapOptions{}.timeout.has_value());
}

TEST(Options, a_schedule_not_given_is_not_automatic) {
  EXPECT_FALSE(spec_of({}).schedule.has_value());
  EXPECT_EQ(spec_of({.schedule = Schedule::automatic}).schedule, Schedule::automatic);
}

TEST(Options, zero_is_automatic) {
  const CallSpec spec = spec_of({.chunksize = 0, .max_attempts = 0});
  EXPECT_EQ(spec.chunksize, 0U);
  EXPECT_FALSE(spec.max_attempts.has_value());
}

TEST(Options, negative_counts_name_option_and_value) {
  EXPECT_EQ(message_of([] { spec_of({.chunksize = -3}); }), "chunksize must be 0 (automatic) or positive, not -3");
  EXPECT_EQ(message_of([] { spec_of({.max_attempts = -1L}); }),
            "max_attempts must be 0 (automatic) or positive, not -1");
  const Count least = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(message_of([&] { (void)least.value("processes"); }),
            "processes must be 0 (automatic) or positive, not -9223372036854775808");
}

TEST(Options, more_attempts_than_can_be_counted_are_refused) {
  EXPECT_NE(message_of([] { spec_of({.max_attempts = std::uint64_t{1} << 32}); }).find("max_attempts"),
            std::string::npos);
  EXPECT_EQ(spec_of({.max_attempts = std::numeric_limits<std::uint32_t>::max()}).max_attempts,
            std::numeric_limits<std::uint32_t>::max());
}

TEST(Options, a_timeout_that_makes_no_sense_is_refused) {
  EXPECT_NE(message_of([] { spec_of({.timeout = -1s}); }).find("timeout"), std::string::npos);
  const rankpool::Seconds nan(std::numeric_limits<double>::quiet_NaN());
  EXPECT_NE(message_of([&] { spec_of({.timeout = nan}); }).find("timeout"), std::string::npos);
  EXPECT_EQ(spec_of({.timeout = 0s}).timeout->count(), 0.0);
}

TEST(Options, a_task_timeout_that_makes_no_sense_is_refused) {
  EXPECT_EQ(message_of([] { spec_of({.task_timeout = 0s}); }), "task_timeout must be above 0, and is 0.000000 s");
  EXPECT_EQ(message_of([] { spec_of({.task_timeout = -1s}); }), "task_timeout must be above 0, and is -1.000000 s");
  const rankpool::Seconds nan(std::numeric_limits<double>::quiet_NaN());
  EXPECT_NE(message_of([&] { spec_of({.task_timeout = nan}); }).find("task_timeout"), std::string::npos);
  const rankpool::Seconds forever(std::numeric_limits<double>::infinity());
  EXPECT_EQ(spec_of({.task_timeout = forever}).task_timeout, forever);
  EXPECT_FALSE(spec_of({}).task_timeout.has_value());
}

TEST(Options, bad_options_are_errors_at_the_call) {
  rankpool::Pool pool(std::make_unique<rankpool::test::SerialRunner>());
  const std::vector<int> inputs{1};
  EXPECT_THROW((void)pool.map([](int x) { return x; }, inputs, {.chunksize = -1}), std::invalid_argument);
  EXPECT_THROW((void)pool.map_outcomes([](int x) { return x; }, inputs, {.timeout = -1s}), std::invalid_argument);
}

TEST(Initializer, is_made_from_any_callable_without_arguments) {
  run(PoolOptions{.initializer = initialize}.initializer);
  EXPECT_EQ(initialized, 1);
  run(PoolOptions{.initializer = rankpool::bind(initialize_with, 40, "ab")}.initializer);
  EXPECT_EQ(initialized, 42);
  int captured = 0;
  captured = 5;
  run(PoolOptions{.initializer = [captured] { initialized = captured; }}.initializer);
  EXPECT_EQ(initialized, 5);
  run(PoolOptions{.initializer = [] { return ++initialized; }}.initializer);
  EXPECT_EQ(initialized, 6);
  EXPECT_TRUE(PoolOptions{}.initializer.empty());
}

TEST(Initializer, options_with_one_can_be_copied) {
  const PoolOptions original{.initializer = rankpool::bind(initialize_with, 1, "")};
  const PoolOptions copy = original;  // NOLINT(performance-unnecessary-copy-initialization): the copy is the test
  run(copy.initializer);
  EXPECT_EQ(initialized, 1);
  run(original.initializer);
}
