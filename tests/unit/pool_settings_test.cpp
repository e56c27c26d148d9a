#include "launch/pool_settings.hpp"

#include <cstddef>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "host/lot.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::launch;  // NOLINT(google-build-using-namespace)
using rankpool::PoolOptions;
using rankpool::Schedule;
using rankpool::Seconds;

PoolSettings merged(const PoolOptions& options, std::initializer_list<const char*> variables) {
  std::vector<const char*> environment(variables);
  environment.push_back(nullptr);
  return merge(options, environment.data());
}

int configured = 0;
void configure(int value) { configured = value; }

TEST(PoolSettings, without_options_and_variables_are_automatic) {
  const PoolSettings settings = merged({}, {"HOME=/root"});
  EXPECT_EQ(settings.error, "");
  EXPECT_EQ(settings.name, "rankpool");
  EXPECT_EQ(settings.max_attempts, 3U);
  EXPECT_EQ(settings.processes + settings.threads_per_task + settings.max_tasks_per_child + settings.memory_limit +
                settings.chunksize + settings.seed + settings.test_nodes + settings.channel_bytes,
            0U);
  EXPECT_EQ(settings.schedule, Schedule::automatic);
  EXPECT_FALSE(settings.timeout || settings.inline_tasks || settings.initializer);
  EXPECT_EQ(settings.log, LogLevel::warning);
  EXPECT_TRUE(settings.warnings.empty());
}

TEST(PoolSettings, are_the_variables_where_no_option_is_given) {
  const PoolSettings settings =
      merged({}, {"RANKPOOL_PROCESSES=12", "RANKPOOL_THREADS_PER_TASK=2", "RANKPOOL_MAX_ATTEMPTS=1",
                  "RANKPOOL_MAX_TASKS_PER_CHILD=10", "RANKPOOL_MEMORY_LIMIT=64M", "RANKPOOL_CHUNKSIZE=4",
                  "RANKPOOL_SCHEDULE=guided", "RANKPOOL_INLINE=1", "RANKPOOL_TEST_NODES=3", "RANKPOOL_LOG=info",
                  "RANKPOOL_NAME=sweep", "RANKPOOL_TIMEOUT=2.5", "RANKPOOL_CHANNEL_MB=64", "RANKPOOL_SEED=9",
                  "RANKPOOL_COLOUR=red"});
  EXPECT_EQ(settings.error, "");
  EXPECT_EQ(settings.processes, 12U);
  EXPECT_EQ(settings.threads_per_task, 2U);
  EXPECT_EQ(settings.max_attempts, 1U);
  EXPECT_EQ(settings.max_tasks_per_child, 10U);
  EXPECT_EQ(settings.memory_limit, std::uint64_t{64} << 20U);
  EXPECT_EQ(settings.chunksize, 4U);
  EXPECT_EQ(settings.seed, 9U);
  EXPECT_EQ(settings.schedule, Schedule::guided);
  EXPECT_TRUE(settings.inline_tasks);
  EXPECT_EQ(settings.test_nodes, 3U);
  EXPECT_EQ(settings.log, LogLevel::info);
  EXPECT_EQ(settings.name, "sweep");
  EXPECT_EQ(settings.timeout, Seconds(2.5));
  EXPECT_EQ(settings.channel_bytes, std::uint64_t{64} << 20U);
  EXPECT_EQ(settings.warnings.size(), 1U);
}

TEST(PoolSettings, are_the_options_where_both_are_given) {
  const PoolSettings settings = merged(
      {.max_attempts = 5,
       .max_tasks_per_child = 6,
       .memory_limit = 1 << 20,
       .name = "mine",
       .processes = 7,
       .seed = 3,
       .threads_per_task = 8},
      {"RANKPOOL_PROCESSES=12", "RANKPOOL_THREADS_PER_TASK=2", "RANKPOOL_MAX_ATTEMPTS=1",
       "RANKPOOL_MAX_TASKS_PER_CHILD=10", "RANKPOOL_MEMORY_LIMIT=64M", "RANKPOOL_NAME=sweep", "RANKPOOL_SEED=9"});
  EXPECT_EQ(settings.max_attempts, 5U);
  EXPECT_EQ(settings.max_tasks_per_child, 6U);
  EXPECT_EQ(settings.memory_limit, 1048576U);
  EXPECT_EQ(settings.name, "mine");
  EXPECT_EQ(settings.seed, 3U);
  EXPECT_EQ(settings.processes, 7U);
  EXPECT_EQ(settings.threads_per_task, 8U);
}

TEST(PoolSettings, tell_what_is_wrong_with_an_option_or_a_variable) {
  EXPECT_EQ(merged({.seed = -2}, {}).error, "seed must be 0 (automatic) or positive, not -2");
  EXPECT_EQ(merged({.processes = -2}, {}).error, "processes must be 0 (automatic) or positive, not -2");
  EXPECT_NE(merged({}, {"RANKPOOL_TIMEOUT=soon"}).error.find("RANKPOOL_TIMEOUT=soon"), std::string::npos);
  EXPECT_NE(merged({.threads_per_task = std::uint64_t{1} << 32U}, {}).error.find("threads_per_task"),
            std::string::npos);
  EXPECT_NE(merged({}, {"RANKPOOL_MAX_ATTEMPTS=4294967296"}).error.find("max_attempts"), std::string::npos);
}

TEST(PoolSettings, a_memory_limit_that_no_executor_could_start_with_is_an_error_that_names_it) {
  EXPECT_EQ(merged({.memory_limit = 512}, {}).error,
            "memory_limit must be 0 (no limit) or at least 1048576 bytes, and is 512");
  EXPECT_NE(merged({}, {"RANKPOOL_MEMORY_LIMIT=1023K"}).error.find("memory_limit"), std::string::npos);
  EXPECT_NE(merged({.memory_limit = -1}, {}).error.find("memory_limit"), std::string::npos);
  EXPECT_EQ(merged({}, {"RANKPOOL_MEMORY_LIMIT=1024K"}).error, "");
}

PoolSettings settings_with_initializer() {
  return merged({.initializer = rankpool::bind(configure, 42),
                 .max_tasks_per_child = 6,
                 .memory_limit = std::uint64_t{3} << 30U,
                 .name = "sweep",
                 .processes = 7,
                 .seed = ~std::uint64_t{0},
                 .threads_per_task = 8},
                {"RANKPOOL_TEST_NODES=3", "RANKPOOL_CHANNEL_MB=64", "RANKPOOL_INLINE=1"});
}

TEST(PoolSettings, that_other_ranks_need_arrive_there) {
  const PoolSettings sent = settings_with_initializer();
  const PoolSettings there = decode_settings(encode(sent));
  EXPECT_EQ(there.error, "");
  EXPECT_EQ(there.name, "sweep");
  EXPECT_EQ(there.processes, 7U);
  EXPECT_EQ(there.seed, ~std::uint64_t{0});
  EXPECT_EQ(there.threads_per_task, 8U);
  EXPECT_EQ(there.max_tasks_per_child, 6U);
  EXPECT_EQ(there.memory_limit, std::uint64_t{3} << 30U);
  EXPECT_EQ(there.test_nodes, 3U);
  EXPECT_EQ(there.channel_bytes, std::uint64_t{64} << 20U);
  EXPECT_TRUE(there.inline_tasks);
  ASSERT_TRUE(sent.initializer && there.initializer);
  EXPECT_EQ(there.initializer->kernel, sent.initializer->kernel);
  EXPECT_FALSE(there.initializer->callable.empty());
  EXPECT_EQ(there.initializer->callable, sent.initializer->callable);

  const PoolSettings refused = merged({.processes = -2}, {});
  EXPECT_EQ(decode_settings(encode(refused)).error, refused.error);
  EXPECT_FALSE(decode_settings(encode(refused)).initializer);
}

TEST(PoolSettings, that_are_cut_short_or_too_long_are_refused) {
  for (const PoolSettings& settings : {settings_with_initializer(), merged({}, {})}) {
    const std::vector<std::byte> whole = encode(settings);
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const std::vector<std::byte> part(whole.data(), whole.data() + n);
      EXPECT_THROW((void)decode_settings(part), rankpool::detail::DecodeError) << n << " of " << whole.size();
    }
    std::vector<std::byte> longer = whole;
    longer.push_back(std::byte{0});
    EXPECT_THROW((void)decode_settings(longer), rankpool::detail::DecodeError);
  }
}

TEST(PoolSettings, half_a_minute_of_grace_is_kept_unless_the_environment_or_the_program_says_otherwise) {
  EXPECT_EQ(merged({}, {}).grace, Seconds(30));
  EXPECT_EQ(merged({}, {"RANKPOOL_GRACE=0"}).grace, Seconds(0));
  EXPECT_EQ(merged({.grace = 5s}, {"RANKPOOL_GRACE=7"}).grace, Seconds(5));
  EXPECT_EQ(merged({.grace = 0s}, {"RANKPOOL_GRACE=7"}).grace, Seconds(0));
  EXPECT_LT(merged({.grace = Seconds(std::numeric_limits<double>::infinity())}, {}).grace, Seconds(1e9));
  for (const double wrong : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
    const std::string error = merged({.grace = Seconds(wrong)}, {}).error;
    EXPECT_NE(error.find("grace must not be negative, and is " + std::to_string(wrong)), std::string::npos) << error;
  }
}

TEST(PoolSettings, a_task_has_all_the_time_by_default) {
  const PoolSettings settings = merged({}, {});
  EXPECT_EQ(settings.error, "");
  EXPECT_EQ(settings.task_timeout, std::nullopt);
}

TEST(PoolSettings, the_programs_task_timeout_beats_the_environments) {
  EXPECT_EQ(merged({}, {"RANKPOOL_TASK_TIMEOUT=2.5"}).task_timeout, Seconds(2.5));
  EXPECT_EQ(merged({.task_timeout = 100ms}, {"RANKPOOL_TASK_TIMEOUT=2.5"}).task_timeout, Seconds(0.1));
}

TEST(PoolSettings, a_task_timeout_that_makes_no_sense_is_an_error_that_names_it) {
  for (const double wrong : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    const std::string error = merged({.task_timeout = Seconds(wrong)}, {}).error;
    EXPECT_NE(error.find("task_timeout must be above 0, and is " + std::to_string(wrong)), std::string::npos) << error;
  }
  const std::string error = merged({}, {"RANKPOOL_TASK_TIMEOUT=0"}).error;
  EXPECT_NE(error.find("RANKPOOL_TASK_TIMEOUT=0"), std::string::npos) << error;
}

TEST(TimeLimit, of_a_call_is_in_nanoseconds_and_never_rounds_to_none) {
  using rankpool::host::time_limit;
  EXPECT_EQ(time_limit(std::nullopt), 0ns);
  EXPECT_EQ(time_limit(Seconds(2.5)), 2500ms);
  EXPECT_EQ(time_limit(Seconds(1e-15)), 1ns);
  EXPECT_EQ(time_limit(Seconds(1e300)), 0ns);
  EXPECT_EQ(time_limit(Seconds(std::numeric_limits<double>::infinity())), 0ns);
}

}  // namespace
