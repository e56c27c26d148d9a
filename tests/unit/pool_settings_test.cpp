#include "launch/pool_settings.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <limits>
#include <vector>

#include "host/lot.hpp"

namespace {

using namespace std::chrono_literals;
using rankpool::PoolOptions;
using rankpool::Seconds;
using rankpool::launch::PoolSettings;

PoolSettings merged(const PoolOptions& options, std::initializer_list<const char*> environment = {}) {
  std::vector<const char*> block(environment);
  block.push_back(nullptr);
  return rankpool::launch::merge(options, block.data());
}

TEST(PoolSettings, a_task_has_all_the_time_by_default) {
  const PoolSettings settings = merged({});
  EXPECT_EQ(settings.error, "");
  EXPECT_EQ(settings.task_timeout, std::nullopt);
}

TEST(PoolSettings, the_programs_task_timeout_beats_the_environments) {
  EXPECT_EQ(merged({}, {"RANKPOOL_TASK_TIMEOUT=2.5"}).task_timeout, Seconds(2.5));
  EXPECT_EQ(merged({.task_timeout = 100ms}, {"RANKPOOL_TASK_TIMEOUT=2.5"}).task_timeout, Seconds(0.1));
}

TEST(PoolSettings, a_task_timeout_that_makes_no_sense_is_an_error_that_names_it) {
  for (const double wrong : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    const std::string error = merged({.task_timeout = Seconds(wrong)}).error;
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
