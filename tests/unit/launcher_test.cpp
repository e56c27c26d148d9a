#include "launch/launcher.hpp"

#include <map>

#include <gtest/gtest.h>

#include "launch/identity.hpp"

namespace {

using namespace rankpool::launch;  // NOLINT(google-build-using-namespace)

Lookup environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

TEST(Launcher, a_program_started_by_hand_is_alone) {
  EXPECT_EQ(detect(environment({{"HOME", "/root"}})).launch, Launch::alone);
}

TEST(Launcher, settings_of_open_mpi_do_not_make_a_launcher) {
  EXPECT_EQ(
      detect(environment(
                 {{"OMPI_MCA_btl", "self"}, {"OMPI_ALLOW_RUN_AS_ROOT", "1"}, {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}}))
          .launch,
      Launch::alone);
}

TEST(Launcher, each_launcher_is_recognised) {
  EXPECT_EQ(detect(environment({{"OMPI_COMM_WORLD_SIZE", "1"}})).launch, Launch::launched);
  EXPECT_EQ(detect(environment({{"PMIX_RANK", "0"}})).launch, Launch::launched);
  EXPECT_EQ(detect(environment({{"PMI_RANK", "3"}})).launch, Launch::launched);
}

TEST(Launcher, a_shell_of_srun_is_none) {
  EXPECT_EQ(detect(environment({{"PMIX_RANK", "0"}, {"SLURM_PTY_PORT", "4711"}, {"SLURM_STEP_NUM_TASKS", "1"}})).launch,
            Launch::alone);
  EXPECT_EQ(detect(environment({{"PMIX_RANK", "0"}, {"SLURM_PTY_PORT", "4711"}, {"SLURM_STEP_NUM_TASKS", "4"}})).launch,
            Launch::launched);
  EXPECT_EQ(
      detect(environment({{"OMPI_COMM_WORLD_SIZE", "2"}, {"SLURM_PTY_PORT", "4711"}, {"SLURM_STEP_NUM_TASKS", "1"}}))
          .launch,
      Launch::launched);
}

TEST(Launcher, several_slurm_tasks_without_mpi_are_refused_with_the_cure) {
  const Launcher launcher = detect(environment({{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "2"}}));
  EXPECT_EQ(launcher.launch, Launch::refused);
  EXPECT_NE(launcher.error.find("4 tasks"), std::string::npos);
  EXPECT_NE(launcher.error.find("srun --mpi=pmix"), std::string::npos);
  EXPECT_NE(launcher.error.find("mpirun"), std::string::npos);
}

TEST(Launcher, one_slurm_task_without_mpi_is_alone) {
  EXPECT_EQ(detect(environment({{"SLURM_STEP_NUM_TASKS", "1"}})).launch, Launch::alone);
  EXPECT_EQ(detect(environment({{"SLURM_JOB_ID", "17"}, {"SLURM_NTASKS", "8"}})).launch, Launch::alone);
}

TEST(Launcher, mpirun_inside_a_slurm_step_is_a_launcher) {
  const Lookup variables = environment({{"OMPI_COMM_WORLD_SIZE", "8"}, {"SLURM_STEP_NUM_TASKS", "2"}});
  EXPECT_EQ(detect(variables).launch, Launch::launched);
  EXPECT_EQ(promised_ranks(variables), 8);
}

TEST(Launcher, the_promise_is_read_from_whoever_launched) {
  EXPECT_EQ(promised_ranks(environment({{"PMI_SIZE", "3"}, {"PMI_RANK", "0"}})), 3);
  EXPECT_EQ(promised_ranks(environment({{"PMIX_RANK", "1"}, {"SLURM_PROCID", "1"}, {"SLURM_STEP_NUM_TASKS", "5"}})), 5);
  EXPECT_EQ(promised_ranks(environment({{"PMIX_RANK", "1"}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "5"}})),
            std::nullopt);
  EXPECT_EQ(promised_ranks(environment({{"OMPI_COMM_WORLD_SIZE", "many"}})), std::nullopt);
  EXPECT_EQ(promised_ranks(environment({})), std::nullopt);
}

TEST(Launcher, a_world_smaller_than_promised_is_refused_with_the_cure) {
  EXPECT_EQ(check_world(std::nullopt, 1), std::nullopt);
  EXPECT_EQ(check_world(4, 4), std::nullopt);
  const auto error = check_world(4, 1);
  ASSERT_TRUE(error.has_value());
  EXPECT_NE(error->find("4 ranks"), std::string::npos);
  EXPECT_NE(error->find("mpirun"), std::string::npos);
}

std::vector<rankpool::transport::RankFacts> programs(std::initializer_list<std::uint64_t> ids) {
  std::vector<rankpool::transport::RankFacts> ranks;
  for (const std::uint64_t id : ids) {
    rankpool::transport::RankFacts facts;
    facts.host = "n" + std::to_string(ranks.size());
    facts.executable_id = id;
    ranks.push_back(facts);
  }
  return ranks;
}

TEST(Identity, one_program_on_all_ranks_is_fine) {
  EXPECT_EQ(check_same_program(programs({5})), std::nullopt);
  EXPECT_EQ(check_same_program(programs({5, 5, 5})), std::nullopt);
}

TEST(Identity, the_odd_rank_and_its_host_are_named) {
  const auto error = check_same_program(programs({5, 5, 6, 5}));
  ASSERT_TRUE(error.has_value());
  EXPECT_NE(error->find("rank 2 on n2 runs another executable"), std::string::npos) << *error;
  EXPECT_EQ(error->find("rank 1"), std::string::npos) << *error;
}

TEST(Identity, rank_0_is_named_when_it_is_the_odd_one) {
  const auto error = check_same_program(programs({6, 5, 5}));
  ASSERT_TRUE(error.has_value());
  EXPECT_NE(error->find("rank 0 on n0"), std::string::npos) << *error;
  EXPECT_EQ(error->find("rank 1"), std::string::npos) << *error;
}

TEST(Identity, where_two_programs_are_equally_frequent_those_unlike_rank_0_are_named) {
  for (const auto& ranks : {programs({9, 5}), programs({5, 9})}) {
    const auto error = check_same_program(ranks);
    ASSERT_TRUE(error.has_value());
    EXPECT_NE(error->find("rank 1 on n1"), std::string::npos) << *error;
    EXPECT_EQ(error->find("rank 0"), std::string::npos) << *error;
  }
}

TEST(Identity, many_odd_ranks_are_counted_not_listed) {
  std::vector<rankpool::transport::RankFacts> ranks = programs({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  for (std::size_t rank = 0; rank < 20; ++rank) ranks.push_back(ranks[rank % 10]);
  for (std::size_t rank = 1; rank <= 10; ++rank) ranks[rank].executable_id = 2;
  const auto error = check_same_program(ranks);
  ASSERT_TRUE(error.has_value());
  EXPECT_NE(error->find("and 2 more run"), std::string::npos) << *error;
}

}  // namespace
