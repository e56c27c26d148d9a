#include "launch/layout.hpp"

#include <numeric>
#include <stdexcept>

#include <gtest/gtest.h>

#include "layout_helpers.hpp"

namespace {

using namespace rankpool::launch;  // NOLINT(google-build-using-namespace)
using rankpool::test::cpus;
using rankpool::test::quota;
using rankpool::test::rank_on;
using rankpool::test::Ranks;
using rankpool::test::slurm;
using rankpool::test::with;

std::vector<std::uint32_t> executors(const Layout& layout) {
  std::vector<std::uint32_t> counts;
  for (const RankPlan& rank : layout.ranks) counts.push_back(rank.executors);
  return counts;
}

using Counts = std::vector<std::uint32_t>;
using Members = std::vector<int>;

TEST(Layout, a_rank_alone_has_an_executor_per_cpu) {
  const Layout layout = plan_layout(Ranks{rank_on(0, 0, 8, 8)}, {});
  EXPECT_EQ(executors(layout), Counts{8});
  EXPECT_EQ(layout.executors, 8U);
  EXPECT_TRUE(layout.warnings.empty());
}

TEST(Layout, a_rank_per_core_leaves_the_master_without_executors) {
  Ranks ranks;
  for (std::size_t core = 0; core < 8; ++core) ranks.push_back(rank_on(0, core, 1, 8));
  const Layout layout = plan_layout(ranks, {});
  EXPECT_EQ(executors(layout), (Counts{0, 1, 1, 1, 1, 1, 1, 1}));
  ASSERT_EQ(layout.nodes.size(), 1U);
  EXPECT_EQ(layout.nodes[0].cpus, cpus(0, 8));
  EXPECT_EQ(layout.nodes[0].executors, 7U);
  EXPECT_TRUE(layout.warnings.empty());
}

TEST(Layout, a_rank_per_node_uses_all_cpus_but_the_masters) {
  const Layout layout = plan_layout(Ranks{rank_on(0, 0, 64, 64), rank_on(1, 0, 64, 64)}, {});
  EXPECT_EQ(executors(layout), (Counts{63, 64}));
  ASSERT_EQ(layout.nodes.size(), 2U);
  EXPECT_EQ(layout.nodes[0].leader, 0);
  EXPECT_EQ(layout.nodes[1].leader, 1);
}

TEST(Layout, unbound_ranks_share_the_cpus) {
  const Layout layout = plan_layout(Ranks{rank_on(0, 0, 9, 9), rank_on(0, 0, 9, 9), rank_on(0, 0, 9, 9)}, {});
  EXPECT_EQ(executors(layout), (Counts{2, 3, 3}));
}

TEST(Layout, thirds_of_cpus_add_up) {
  const Layout layout = plan_layout(Ranks{rank_on(0, 0, 3, 3), rank_on(0, 0, 3, 3), rank_on(0, 0, 3, 3)}, {});
  EXPECT_EQ(executors(layout), (Counts{0, 1, 1}));
}

TEST(Layout, more_ranks_than_cpus_still_have_one_executor_each) {
  const Layout layout = plan_layout(Ranks(5, rank_on(0, 0, 2, 2)), {});
  EXPECT_EQ(executors(layout), (Counts{0, 1, 1, 1, 1}));
}

TEST(Layout, cpus_of_the_same_number_on_other_machines_are_not_shared) {
  const Layout layout = plan_layout(Ranks{rank_on(0, 0, 4, 4), rank_on(1, 0, 4, 4), rank_on(1, 0, 4, 4)}, {});
  EXPECT_EQ(executors(layout), (Counts{3, 2, 2}));
}

TEST(Layout, threads_per_task_divide_the_cpus) {
  const Layout layout = plan_layout(Ranks{rank_on(0, 0, 16, 16)}, {.threads_per_task = 3});
  EXPECT_EQ(executors(layout), Counts{5});
  EXPECT_EQ(executors(plan_layout(Ranks{rank_on(0, 0, 2, 2)}, {.threads_per_task = 4})), Counts{1});
}

TEST(Layout, pretended_nodes_are_blocks_of_consecutive_ranks) {
  const Layout layout = plan_layout(Ranks(5, rank_on(0, 0, 2, 2)), {.test_nodes = 2});
  ASSERT_EQ(layout.nodes.size(), 2U);
  EXPECT_EQ(layout.nodes[0].ranks, (Members{0, 1, 2}));
  EXPECT_EQ(layout.nodes[1].ranks, (Members{3, 4}));
  EXPECT_EQ(layout.nodes[1].leader, 3);
  EXPECT_EQ(layout.ranks[4].node, 1);
  EXPECT_EQ(plan_layout(Ranks(3, rank_on(0, 0, 2, 2)), {.test_nodes = 9}).nodes.size(), 3U);
}

TEST(Layout, ranks_that_mpi_puts_together_but_cannot_share_memory_are_separate_nodes) {
  Ranks ranks(2, rank_on(0, 0, 4, 4));
  ranks[1].machine = "another container";
  EXPECT_EQ(plan_layout(ranks, {}).nodes.size(), 2U);
}

TEST(Layout, any_root_leads_the_first_node) {
  const Ranks ranks{rank_on(0, 0, 4, 4), rank_on(0, 0, 4, 4), rank_on(1, 0, 4, 4), rank_on(1, 0, 4, 4)};
  const Layout layout = plan_layout(ranks, {.root = 3});
  ASSERT_EQ(layout.nodes.size(), 2U);
  EXPECT_EQ(layout.nodes[0].ranks, (Members{2, 3}));
  EXPECT_EQ(layout.nodes[0].leader, 3);
  EXPECT_EQ(layout.nodes[1].leader, 0);
  EXPECT_EQ(layout.ranks[0].node, 1);
  EXPECT_EQ(executors(layout), (Counts{2, 2, 2, 1}));
}

TEST(Layout, a_root_out_of_range_is_refused) {
  EXPECT_THROW(plan_layout(Ranks(2, rank_on(0, 0, 4, 4)), {.root = 2}), std::invalid_argument);
  EXPECT_THROW(plan_layout(Ranks(2, rank_on(0, 0, 4, 4)), {.root = -1}), std::invalid_argument);
}

TEST(Layout, slots_are_consecutive_on_each_node) {
  const Layout layout = plan_layout(Ranks(4, rank_on(0, 0, 8, 8)), {.test_nodes = 2});
  EXPECT_EQ(executors(layout), (Counts{1, 2, 2, 2}));
  EXPECT_EQ(layout.ranks[0].first_slot, 0U);
  EXPECT_EQ(layout.ranks[1].first_slot, 1U);
  EXPECT_EQ(layout.ranks[2].first_slot, 0U);
  EXPECT_EQ(layout.ranks[3].first_slot, 2U);
}

TEST(Layout, processes_are_dealt_in_proportion_to_the_cpus) {
  const Ranks ranks{rank_on(0, 0, 5, 5), rank_on(1, 0, 8, 8), rank_on(2, 0, 4, 4)};
  const Layout layout = plan_layout(ranks, {.processes = 8});
  EXPECT_EQ(executors(layout), (Counts{2, 4, 2}));
  EXPECT_TRUE(layout.warnings.empty());
}

TEST(Layout, the_first_processes_do_not_go_to_the_master) {
  const Ranks ranks{rank_on(0, 0, 4, 4), rank_on(1, 0, 4, 4), rank_on(2, 0, 4, 4)};
  EXPECT_EQ(executors(plan_layout(ranks, {.processes = 1})), (Counts{0, 1, 0}));
  EXPECT_EQ(executors(plan_layout(ranks, {.processes = 2})), (Counts{0, 1, 1}));
  EXPECT_EQ(executors(plan_layout(ranks, {.processes = 3})), (Counts{1, 1, 1}));
}

TEST(Layout, more_processes_than_cpus_are_spread_evenly_with_one_warning) {
  const Layout layout = plan_layout(Ranks{rank_on(0, 0, 2, 2), rank_on(1, 0, 2, 2)}, {.processes = 12});
  EXPECT_EQ(executors(layout), (Counts{4, 8}));
  ASSERT_EQ(layout.warnings.size(), 1U);
  EXPECT_NE(layout.warnings[0].find("12 executors"), std::string::npos);
  EXPECT_NE(layout.warnings[0].find("room for 3"), std::string::npos);
}

TEST(Layout, a_master_without_room_gets_none_however_many_are_asked_for) {
  const Layout layout = plan_layout(Ranks(3, rank_on(0, 0, 2, 2)), {.processes = 7});
  EXPECT_EQ(executors(layout), (Counts{0, 4, 3}));
}

TEST(Layout, an_absurd_number_of_processes_is_refused) {
  EXPECT_THROW(plan_layout(Ranks(1, rank_on(0, 0, 2, 2)), {.processes = std::uint64_t{1} << 40}),
               std::invalid_argument);
}

TEST(Layout, one_rank_bound_to_one_core_of_a_big_node_is_warned_of) {
  const Layout layout = plan_layout(Ranks{rank_on(0, 0, 1, 64)}, {});
  ASSERT_EQ(layout.warnings.size(), 1U);
  EXPECT_NE(layout.warnings[0].find("1 of its 64 CPUs"), std::string::npos) << layout.warnings[0];
  EXPECT_NE(layout.warnings[0].find("--bind-to none"), std::string::npos) << layout.warnings[0];
}

TEST(Layout, many_badly_bound_nodes_are_one_warning) {
  const Layout layout = plan_layout(Ranks{rank_on(0, 0, 1, 64), rank_on(1, 0, 1, 64), rank_on(2, 0, 1, 64)}, {});
  ASSERT_EQ(layout.warnings.size(), 1U);
  EXPECT_NE(layout.warnings[0].find("2 other nodes"), std::string::npos) << layout.warnings[0];
}

TEST(Layout, a_rank_per_core_is_not_warned_of) {
  Ranks ranks;
  for (std::size_t core = 0; core < 64; ++core) ranks.push_back(rank_on(0, core, 1, 64));
  EXPECT_TRUE(plan_layout(ranks, {}).warnings.empty());
}

TEST(Layout, a_job_that_was_given_part_of_a_node_is_not_warned_of) {
  Ranks ranks{rank_on(0, 0, 4, 64)};
  ranks[0].cpus_of_job = 4;
  EXPECT_TRUE(plan_layout(ranks, {}).warnings.empty());
  ranks[0].cpus_of_job = 16;
  EXPECT_EQ(plan_layout(ranks, {}).warnings.size(), 1U);
}

TEST(Layout, a_program_started_by_hand_on_few_cpus_is_not_warned_of) {
  EXPECT_TRUE(plan_layout(Ranks{rank_on(0, 0, 1, 64)}, {.launched = false}).warnings.empty());
}

TEST(Layout, fewer_processes_than_cpus_on_purpose_are_not_warned_of) {
  EXPECT_TRUE(plan_layout(Ranks{rank_on(0, 0, 1, 64)}, {.processes = 1}).warnings.empty());
}

TEST(Layout, a_quota_leaves_fewer_executors_than_the_cpus) {
  const Layout layout = plan_layout(Ranks{with(rank_on(0, 0, 64, 64), quota(4))}, {});
  EXPECT_EQ(executors(layout), Counts{4});
  EXPECT_EQ(layout.nodes[0].capacity, 4U);
  EXPECT_EQ(layout.nodes[0].limited_by, rankpool::support::CpuLimit::Source::quota);
  EXPECT_TRUE(layout.warnings.empty());
}

TEST(Layout, a_limit_larger_than_the_cpus_is_none) {
  const Layout layout = plan_layout(Ranks{with(with(rank_on(0, 0, 4, 64), quota(64)), slurm(64))}, {});
  EXPECT_EQ(executors(layout), Counts{4});
  EXPECT_EQ(layout.nodes[0].capacity, 4U);
  EXPECT_FALSE(layout.nodes[0].limited_by);
}

TEST(Layout, a_quota_of_less_than_a_cpu_is_one_executor) {
  const Layout layout = plan_layout(Ranks{with(rank_on(0, 0, 8, 8), quota(0.5))}, {});
  EXPECT_EQ(executors(layout), Counts{1});
  EXPECT_EQ(layout.nodes[0].capacity, 1U);
  EXPECT_EQ(executors(plan_layout(Ranks{with(rank_on(0, 0, 8, 8), quota(2.5))}, {})), Counts{2});
}

TEST(Layout, ranks_of_a_control_group_share_its_quota) {
  EXPECT_EQ(executors(plan_layout(Ranks(4, with(rank_on(0, 0, 64, 64), quota(16))), {})), (Counts{3, 4, 4, 4}));
  const Ranks apart{with(rank_on(0, 0, 64, 64), quota(16, 1)), with(rank_on(0, 0, 64, 64), quota(8, 2))};
  EXPECT_EQ(executors(plan_layout(apart, {})), (Counts{15, 8}));
}

TEST(Layout, ranks_with_more_cpus_have_more_of_a_quota) {
  const Ranks ranks{with(rank_on(0, 0, 16, 64), quota(24)), with(rank_on(0, 16, 32, 64), quota(24))};
  EXPECT_EQ(executors(plan_layout(ranks, {})), (Counts{7, 16}));
}

TEST(Layout, the_tightest_of_several_limits_counts) {
  const Layout layout = plan_layout(Ranks{with(with(rank_on(0, 0, 64, 64), quota(8)), slurm(4))}, {});
  EXPECT_EQ(executors(layout), Counts{4});
  EXPECT_EQ(layout.nodes[0].limited_by, rankpool::support::CpuLimit::Source::slurm);
}

TEST(Layout, a_jobs_part_of_each_node_is_for_its_ranks_there) {
  const Ranks ranks{with(rank_on(0, 0, 64, 64), slurm(4)), with(rank_on(0, 0, 64, 64), slurm(4)),
                    with(rank_on(1, 0, 64, 64), slurm(8))};
  const Layout layout = plan_layout(ranks, {});
  EXPECT_EQ(executors(layout), (Counts{1, 2, 8}));
  EXPECT_EQ(layout.nodes[0].capacity, 4U);
  EXPECT_EQ(layout.nodes[1].capacity, 8U);
}

TEST(Layout, a_tasks_part_of_a_job_is_for_that_rank) {
  Ranks ranks;
  for (std::uint64_t task = 100; task < 104; ++task) {
    ranks.push_back(with(with(rank_on(0, 0, 64, 64), slurm(64)), slurm(4, task)));
  }
  const Layout layout = plan_layout(ranks, {});
  EXPECT_EQ(executors(layout), (Counts{3, 4, 4, 4}));
  EXPECT_EQ(layout.nodes[0].capacity, 16U);
}

TEST(Layout, threads_per_task_divide_what_a_limit_leaves) {
  EXPECT_EQ(executors(plan_layout(Ranks{with(rank_on(0, 0, 64, 64), quota(9))}, {.threads_per_task = 4})), Counts{2});
}

TEST(Layout, pretended_nodes_share_a_limit) {
  const Layout layout = plan_layout(Ranks(4, with(rank_on(0, 0, 64, 64), quota(8))), {.test_nodes = 2});
  EXPECT_EQ(executors(layout), (Counts{1, 2, 2, 2}));
}

TEST(Layout, more_processes_than_a_limit_allows_are_warned_of) {
  const Layout layout = plan_layout(Ranks{with(rank_on(0, 0, 64, 64), quota(4))}, {.processes = 8});
  EXPECT_EQ(executors(layout), Counts{8});
  ASSERT_EQ(layout.warnings.size(), 1U);
  EXPECT_NE(layout.warnings[0].find("room for 4"), std::string::npos) << layout.warnings[0];
}

TEST(Layout, few_cpus_are_not_warned_of_where_a_quota_is_as_small) {
  EXPECT_TRUE(plan_layout(Ranks{with(rank_on(0, 0, 1, 64), quota(2))}, {}).warnings.empty());
}

TEST(Layout, a_jobs_executors_that_fill_its_cpus_are_bound) {
  const Layout layout =
      plan_layout(Ranks{with(rank_on(0, 0, 8, 64), slurm(8)), with(rank_on(1, 0, 64, 64), slurm(4))}, {});
  EXPECT_EQ(executors(layout), (Counts{7, 4}));
  ASSERT_EQ(layout.nodes[0].bound, 0U);
  EXPECT_EQ(layout.bound.at(0).cpus, cpus(0, 8));
  EXPECT_FALSE(layout.nodes[1].bound);
}

TEST(Layout, pretended_nodes_are_bound_to_cpus_of_one_machine) {
  const Layout layout = plan_layout(Ranks(4, with(rank_on(0, 0, 8, 8), slurm(8))), {.test_nodes = 2});
  ASSERT_EQ(layout.nodes.size(), 2U);
  EXPECT_EQ(layout.nodes[0].bound, 0U);
  EXPECT_EQ(layout.nodes[1].bound, 0U);
  EXPECT_EQ(layout.bound.at(0).crew.ranks, (Members{0, 1, 2, 3}));
}

TEST(Layout, containers_on_one_machine_are_not_bound_to_the_same_cpus) {
  Ranks ranks(2, with(rank_on(0, 0, 4, 4), slurm(4)));
  ranks[1].machine = "another container";
  EXPECT_TRUE(plan_layout(ranks, {}).bound.empty());
}

TEST(Layout, the_sum_over_ranks_is_the_pools_size) {
  for (std::uint64_t processes = 1; processes < 100; ++processes) {
    const Ranks ranks{rank_on(0, 0, 7, 7), rank_on(0, 0, 7, 7), rank_on(1, 60, 10, 80), rank_on(2, 0, 1, 1)};
    const Layout layout = plan_layout(ranks, {.processes = processes, .test_nodes = 4});
    const Counts counts = executors(layout);
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}), processes);
    EXPECT_EQ(layout.executors, processes);
  }
}

}  // namespace
