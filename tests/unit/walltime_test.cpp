// When the batch system will end the job, and what comes when before that.
#include "launch/walltime.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <unistd.h>

#include "launch/end_watch.hpp"
#include "support/unique_fd.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::launch;  // NOLINT(google-build-using-namespace)
using Variables = std::map<std::string, std::string>;

Lookup lookup_in(const Variables& variables) {
  return [variables](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

EndQuestion question_of(const Variables& variables) { return EndQuestion::of(lookup_in(variables)); }

WallTime at(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

std::string refuse_to_answer(const std::vector<std::string>& /*command*/) {
  ADD_FAILURE() << "was asked";
  return {};
}

/// Where local time is another than UTC.
class Berlin : public testing::Test {
 protected:
  void SetUp() override {
    if (const char* zone = std::getenv("TZ")) before_ = zone;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
  }
  void TearDown() override {
    if (before_) {
      setenv("TZ", before_->c_str(), 1);
    } else {
      unsetenv("TZ");
    }
    tzset();
  }

 private:
  std::optional<std::string> before_;
};

TEST_F(Berlin, local_times_of_squeue_are_read_in_winter_and_in_summer) {
  EXPECT_EQ(parse_local_time("2026-11-22T23:11:02\n"), at(1795385462));
  EXPECT_EQ(parse_local_time("2026-07-01T12:00:00"), at(1782900000));
  EXPECT_EQ(local_time_text(at(1795385462)), "2026-11-22 23:11:02");
  for (const char* none : {"", "NOLIMIT", "N/A", "Unknown", "slurm_load_jobs error: Invalid job id specified"}) {
    EXPECT_FALSE(parse_local_time(none)) << none;
  }
}

TEST_F(Berlin, slurm_is_asked_for_the_end_of_the_job_where_no_variable_has_it) {
  std::vector<std::string> asked;
  const auto answer = [&asked](const std::vector<std::string>& command) {
    asked = command;
    return std::string("18 2027-01-01T00:00:00\n17 2026-11-22T23:11:02\n19 N/A\n");
  };
  EXPECT_EQ(end_of_job(question_of({{"SLURM_JOB_ID", "17"}}), answer), at(1795385462));
  EXPECT_EQ(asked, (std::vector<std::string>{"squeue", "--noheader", "--jobs", "17", "--format=%A %e"}));
  EXPECT_FALSE(end_of_job(question_of({{"SLURM_JOB_ID", "19"}}), answer));
  EXPECT_FALSE(end_of_job(question_of({{"SLURM_JOB_ID", "20"}}), answer));
}

TEST(Walltime, of_a_variable_needs_no_question) {
  EXPECT_EQ(end_of_job(question_of({{"SLURM_JOB_ID", "17"}, {"SLURM_JOB_END_TIME", "4000"}}), refuse_to_answer),
            at(4000));
  EXPECT_EQ(end_of_job(question_of({{"RANKPOOL_END_TIME", "5000"}, {"SLURM_JOB_END_TIME", "4000"}}), refuse_to_answer),
            at(5000));
}

TEST(Walltime, outside_a_job_has_no_end) {
  EXPECT_FALSE(is_in_job(lookup_in({})));
  EXPECT_FALSE(end_of_job(question_of({}), refuse_to_answer));
  EXPECT_FALSE(end_of_job(question_of({{"SLURM_JOB_ID", "17; rm"}}), refuse_to_answer));
  EXPECT_TRUE(is_in_job(lookup_in({{"SLURM_JOB_ID", "17"}})));
  EXPECT_TRUE(is_in_job(lookup_in({{"RANKPOOL_END_TIME", "5000"}})));
}

TEST(OutputOf, gives_what_a_program_prints_and_nothing_where_it_fails) {
  EXPECT_EQ(output_of({"echo", "a", "b"}, environment_for_slurm(), 10s, -1), "a b\n");
  EXPECT_EQ(output_of({"sh", "-c", "echo a; exit 3"}, environment_for_slurm(), 10s, -1), "");
  EXPECT_EQ(output_of({"/nowhere/squeue"}, environment_for_slurm(), 10s, -1), "");
}

TEST(OutputOf, gives_the_program_the_environment_without_what_changes_squeues_words) {
  setenv("SQUEUE_FORMAT", "%j", 1);
  setenv("SLURM_TIME_FORMAT", "relative", 1);
  setenv("SLURM_CONF", "kept", 1);
  EXPECT_EQ(
      output_of({"sh", "-c", "echo $SQUEUE_FORMAT,$SLURM_TIME_FORMAT,$SLURM_CONF"}, environment_for_slurm(), 10s, -1),
      ",,kept\n");
  unsetenv("SQUEUE_FORMAT");
  unsetenv("SLURM_TIME_FORMAT");
  unsetenv("SLURM_CONF");
}

TEST(OutputOf, waits_no_longer_than_its_limit_or_until_it_is_to_stop) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(output_of({"sh", "-c", "echo a; exec sleep 60"}, environment_for_slurm(), 100ms, -1), "");
  const rankpool::support::UniqueFd stop(eventfd(1, EFD_CLOEXEC));
  EXPECT_EQ(output_of({"sleep", "60"}, environment_for_slurm(), 60s, stop.get()), "");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
}

TEST(EndWatch, leaves_less_and_less_of_the_grace) {
  const EndWatch::Clock::time_point end{1h};
  const auto plan = EndWatch::plan_for_end(end, 32s, "it ends");
  EXPECT_EQ(plan.no_new_tasks, end - 32s);
  EXPECT_EQ(plan.no_results, end - 16s);
  EXPECT_EQ(plan.at_once, end - 8s);
  EXPECT_EQ(plan.exit, end - 2s);
  EXPECT_EQ(plan.why, "it ends");
}

TEST(EndWatch, has_ended_all_a_second_after_a_signal) {
  const EndWatch::Clock::time_point now{1h};
  const auto plan = EndWatch::plan_for_signal(now, "a signal");
  EXPECT_EQ(plan.no_new_tasks, now);
  EXPECT_EQ(plan.no_results, now);
  EXPECT_GT(plan.at_once, now);
  EXPECT_GT(plan.exit, plan.at_once + 500ms);
  EXPECT_LT(plan.exit, now + 1s);
}

}  // namespace
