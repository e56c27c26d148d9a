#include "launch/environment.hpp"

#include <initializer_list>
#include <stdexcept>

#include <gtest/gtest.h>

namespace {

using namespace rankpool::launch;  // NOLINT(google-build-using-namespace)
using rankpool::Schedule;

Settings read(std::initializer_list<const char*> entries) {
  std::vector<const char*> block(entries);
  block.push_back(nullptr);
  return read_settings(block.data());
}

std::string error_of(const char* entry) {
  try {
    read({entry});
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "none";
}

TEST(Environment, nothing_is_set_by_default) {
  const Settings settings = read({"HOME=/root", "RANKPOOL=1"});
  EXPECT_FALSE(settings.processes || settings.chunksize || settings.inline_tasks || settings.log || settings.name ||
               settings.max_attempts || settings.max_tasks_per_child || settings.memory_limit || settings.schedule ||
               settings.seed || settings.grace || settings.test_nodes || settings.task_timeout ||
               settings.threads_per_task || settings.timeout);
  EXPECT_TRUE(settings.warnings.empty());
}

TEST(Environment, every_variable_is_read) {
  const Settings settings =
      read({"RANKPOOL_PROCESSES=12", "RANKPOOL_THREADS_PER_TASK=2", "RANKPOOL_MAX_ATTEMPTS=1",
            "RANKPOOL_MAX_TASKS_PER_CHILD=10", "RANKPOOL_MEMORY_LIMIT=64M", "RANKPOOL_CHUNKSIZE=0",
            "RANKPOOL_SCHEDULE=static", "RANKPOOL_INLINE=1", "RANKPOOL_TEST_NODES=3", "RANKPOOL_LOG=info",
            "RANKPOOL_NAME=sweep = 1", "RANKPOOL_TIMEOUT=2.5", "RANKPOOL_TASK_TIMEOUT=0.25",
            "RANKPOOL_SEED=18446744073709551615", "RANKPOOL_GRACE=4.5", "RANKPOOL_END_TIME=1795385462"});
  EXPECT_EQ(settings.processes, 12U);
  EXPECT_EQ(settings.threads_per_task, 2U);
  EXPECT_EQ(settings.max_attempts, 1U);
  EXPECT_EQ(settings.max_tasks_per_child, 10U);
  EXPECT_EQ(settings.memory_limit, std::uint64_t{64} << 20U);
  EXPECT_EQ(settings.chunksize, 0U);
  EXPECT_EQ(settings.schedule, Schedule::static_);
  EXPECT_EQ(settings.inline_tasks, true);
  EXPECT_EQ(settings.test_nodes, 3U);
  EXPECT_EQ(settings.log, LogLevel::info);
  EXPECT_EQ(settings.name, "sweep = 1");
  EXPECT_DOUBLE_EQ(settings.grace.value_or(rankpool::Seconds(0)).count(), 4.5);
  EXPECT_EQ(settings.seed, ~std::uint64_t{0});
  EXPECT_DOUBLE_EQ(settings.task_timeout.value_or(rankpool::Seconds(0)).count(), 0.25);
  EXPECT_DOUBLE_EQ(settings.timeout.value_or(rankpool::Seconds(0)).count(), 2.5);
  EXPECT_TRUE(settings.warnings.empty());
}

TEST(Environment, every_schedule_has_its_word) {
  EXPECT_EQ(read({"RANKPOOL_SCHEDULE=automatic"}).schedule, Schedule::automatic);
  EXPECT_EQ(read({"RANKPOOL_SCHEDULE=dynamic"}).schedule, Schedule::dynamic);
  EXPECT_EQ(read({"RANKPOOL_SCHEDULE=guided"}).schedule, Schedule::guided);
  EXPECT_EQ(read({"RANKPOOL_SCHEDULE=factoring"}).schedule, Schedule::factoring);
}

TEST(Environment, a_variable_set_to_nothing_is_not_set) {
  EXPECT_EQ(read({"RANKPOOL_PROCESSES="}).processes, std::nullopt);
  EXPECT_EQ(read({"RANKPOOL_NAME="}).name, std::nullopt);
}

TEST(Environment, a_bad_value_is_refused_naming_variable_value_and_what_is_accepted) {
  for (const char* value : {"abc", "-1", "1.5", "3 ", "0x10", "99999999999999999999999"}) {
    const std::string entry = std::string("RANKPOOL_CHUNKSIZE=") + value;
    const std::string error = error_of(entry.c_str());
    EXPECT_NE(error.find(entry), std::string::npos) << error;
    EXPECT_NE(error.find("whole number"), std::string::npos) << error;
  }
  EXPECT_NE(error_of("RANKPOOL_SCHEDULE=fast").find("one of automatic, static, dynamic, guided, factoring"),
            std::string::npos);
  EXPECT_NE(error_of("RANKPOOL_SEED=-1").find("whole number from 0 to 2^64 - 1"), std::string::npos);
  EXPECT_NE(error_of("RANKPOOL_INLINE=yes").find("one of 0, 1"), std::string::npos);
  EXPECT_NE(error_of("RANKPOOL_LOG=loud").find("one of quiet, warning, info"), std::string::npos);
  for (const char* entry : {"RANKPOOL_TIMEOUT=soon", "RANKPOOL_TIMEOUT=-1", "RANKPOOL_TIMEOUT=inf",
                            "RANKPOOL_TIMEOUT=nan", "RANKPOOL_TIMEOUT=2s"}) {
    EXPECT_NE(error_of(entry).find("number of seconds"), std::string::npos) << entry;
  }
  for (const char* entry : {"RANKPOOL_TASK_TIMEOUT=0", "RANKPOOL_TASK_TIMEOUT=-1", "RANKPOOL_TASK_TIMEOUT=inf",
                            "RANKPOOL_TASK_TIMEOUT=nan", "RANKPOOL_TASK_TIMEOUT=1s"}) {
    EXPECT_NE(error_of(entry).find(std::string(entry) + " is not understood"), std::string::npos) << entry;
    EXPECT_NE(error_of(entry).find("seconds above 0"), std::string::npos) << entry;
  }
}

TEST(Environment, a_memory_limit_is_in_bytes_or_in_units_of_1024) {
  const auto limit = [](const char* value) {
    return read({(std::string("RANKPOOL_MEMORY_LIMIT=") + value).c_str()}).memory_limit;
  };
  EXPECT_EQ(limit("0"), 0U);
  EXPECT_EQ(limit("1048577"), 1048577U);
  EXPECT_EQ(limit("512K"), std::uint64_t{512} << 10U);
  EXPECT_EQ(limit("3M"), std::uint64_t{3} << 20U);
  EXPECT_EQ(limit("2G"), std::uint64_t{2} << 30U);
  EXPECT_EQ(limit("1T"), std::uint64_t{1} << 40U);
  EXPECT_EQ(limit("16777215T"), std::uint64_t{16777215} << 40U);
}

TEST(Environment, a_memory_limit_that_is_no_number_of_bytes_is_refused) {
  for (const char* value : {"M", "1.5G", "1 G", "1g", "1GB", "-1M", "G1", "16777216T", "18446744073709551616"}) {
    const std::string entry = std::string("RANKPOOL_MEMORY_LIMIT=") + value;
    const std::string error = error_of(entry.c_str());
    EXPECT_NE(error.find(entry + " is not understood"), std::string::npos) << error;
    EXPECT_NE(error.find("1024M or 1G"), std::string::npos) << error;
  }
}

TEST(Environment, an_unknown_variable_is_a_warning_that_suggests_the_nearest) {
  const Settings settings = read({"RANKPOOL_PROCESES=4", "RANKPOOL_COLOUR_OF_THE_SKY=blue"});
  ASSERT_EQ(settings.warnings.size(), 2U);
  EXPECT_NE(settings.warnings[0].find("RANKPOOL_PROCESES"), std::string::npos);
  EXPECT_NE(settings.warnings[0].find("did you mean RANKPOOL_PROCESSES?"), std::string::npos);
  EXPECT_NE(settings.warnings[1].find("RANKPOOL_COLOUR_OF_THE_SKY"), std::string::npos);
  EXPECT_EQ(settings.warnings[1].find("did you mean"), std::string::npos);
}

}  // namespace
