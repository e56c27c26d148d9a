#include "launch/pinning.hpp"

#include <gtest/gtest.h>

#include "layout_helpers.hpp"

namespace {

using namespace rankpool::launch;  // NOLINT(google-build-using-namespace)
using rankpool::support::add_cpu;
using rankpool::support::CpuMask;
using rankpool::support::CpuPlace;
using rankpool::test::cpus;
using rankpool::test::quota;
using rankpool::test::rank_on;
using rankpool::test::Ranks;
using rankpool::test::slurm;
using rankpool::test::with;
using Masks = std::vector<CpuMask>;

CpuMask set_of(std::initializer_list<std::size_t> numbers) {
  CpuMask mask;
  for (const std::size_t cpu : numbers) add_cpu(mask, cpu);
  return mask;
}

/// A machine of `cores` cores of two threads, the second thread of core i being CPU i + cores, and a cache for each
/// `sharing` cores.
std::vector<CpuPlace> places(std::size_t cores, std::size_t sharing) {
  std::vector<CpuPlace> all;
  for (std::size_t core = 0; core < cores; ++core) {
    for (const std::size_t cpu : {core, core + cores}) all.push_back({core / sharing * sharing, core, cpu});
  }
  return all;
}

CpuMask filled(const Ranks& ranks, const Crew& crew, bool launched = true) {
  return cpus_to_fill(ranks, crew, launched);
}

TEST(Pinning, a_program_started_by_hand_binds_nothing) {
  EXPECT_TRUE(filled({rank_on(0, 0, 8, 8)}, {.ranks = {0}, .executors = {7}}, false).empty());
  EXPECT_TRUE(filled({rank_on(0, 0, 4, 8)}, {.ranks = {0}, .executors = {3}}, false).empty());  // by taskset
}

TEST(Pinning, ranks_that_mpirun_has_not_bound_bind_nothing) {
  const Ranks ranks(2, rank_on(0, 0, 8, 8));
  EXPECT_TRUE(filled(ranks, {.ranks = {0, 1}, .executors = {3, 4}}).empty());
}

TEST(Pinning, executors_of_a_job_fill_its_cpus_but_for_their_leaders) {
  const Ranks ranks{with(rank_on(0, 0, 8, 64), slurm(8))};
  EXPECT_EQ(filled(ranks, {.ranks = {0}, .executors = {7}}, false), cpus(0, 8));
  EXPECT_TRUE(filled(ranks, {.ranks = {0}, .executors = {8}}, false).empty());
}

TEST(Pinning, executors_of_several_threads_may_fill_them_all) {
  const Ranks ranks{with(rank_on(0, 0, 8, 64), slurm(8))};
  EXPECT_EQ(filled(ranks, {.ranks = {0}, .executors = {4}, .threads = 2}), cpus(0, 8));
  EXPECT_EQ(filled(ranks, {.ranks = {0}, .executors = {2}, .threads = 3}), cpus(0, 8));
  EXPECT_TRUE(filled(ranks, {.ranks = {0}, .executors = {1}, .threads = 3}).empty());
}

TEST(Pinning, where_others_may_use_the_cpus_nothing_is_bound) {
  const Ranks job{with(rank_on(0, 0, 64, 64), slurm(8))};
  EXPECT_TRUE(filled(job, {.ranks = {0}, .executors = {7}}).empty());
  EXPECT_TRUE(filled(job, {.ranks = {0}, .executors = {63}}).empty());
  const Ranks container{with(with(rank_on(0, 0, 8, 64), slurm(8)), quota(4))};
  EXPECT_TRUE(filled(container, {.ranks = {0}, .executors = {7}}).empty());
}

TEST(Pinning, executors_that_leave_cpus_idle_or_share_them_are_left_to_the_kernel) {
  const Ranks ranks{with(rank_on(0, 0, 8, 8), slurm(8))};
  for (const std::uint32_t executors : {0U, 1U, 4U, 6U, 9U, 100U}) {
    EXPECT_TRUE(filled(ranks, {.ranks = {0}, .executors = {executors}}).empty()) << executors;
  }
}

TEST(Pinning, beside_a_number_of_executors_that_was_asked_for_idle_cpus_may_be_meant_for_another_pool) {
  const Ranks ranks{with(rank_on(0, 0, 8, 64), slurm(8))};
  EXPECT_EQ(filled(ranks, {.ranks = {0}, .executors = {3}, .threads = 2}), cpus(0, 8));
  EXPECT_TRUE(filled(ranks, {.ranks = {0}, .executors = {3}, .threads = 2, .is_asked_for = true}).empty());
  EXPECT_EQ(filled(ranks, {.ranks = {0}, .executors = {7}, .is_asked_for = true}), cpus(0, 8));
}

TEST(Pinning, a_thread_of_each_core_is_enough) {
  Ranks ranks{with(rank_on(0, 0, 8, 8), slurm(8))};
  ranks[0].cores = cpus(0, 4);
  EXPECT_EQ(filled(ranks, {.ranks = {0}, .executors = {4}}), cpus(0, 4));
  EXPECT_EQ(filled(ranks, {.ranks = {0}, .executors = {2}, .threads = 2}), cpus(0, 4));
  EXPECT_TRUE(filled(ranks, {.ranks = {0}, .executors = {5}}).empty());
  EXPECT_EQ(filled(ranks, {.ranks = {0}, .executors = {7}}), cpus(0, 8));
}

TEST(Pinning, ranks_that_mpirun_has_bound_each_to_its_own) {
  Ranks ranks;
  for (std::size_t core = 0; core < 4; ++core) ranks.push_back(rank_on(0, core, 1, 8));
  const Crew crew{.ranks = {0, 1, 2, 3}, .executors = {0, 1, 1, 1}};
  EXPECT_EQ(filled(ranks, crew), cpus(0, 4));
  EXPECT_EQ(deal_cpus(ranks, crew, {{0, 0, 0}, {0, 1, 1}, {0, 2, 2}, {0, 3, 3}}),
            (std::vector<Masks>{{}, {set_of({1})}, {set_of({2})}, {set_of({3})}}));
  ranks[3] = rank_on(0, 2, 2, 8);  // with a CPU of another
  EXPECT_TRUE(filled(ranks, crew).empty());
}

TEST(Pinning, threads_of_a_core_stay_together) {
  const Ranks ranks{rank_on(0, 0, 8, 8)};
  EXPECT_EQ(deal_cpus(ranks, {.ranks = {0}, .executors = {4}, .threads = 2}, places(4, 4)),
            (std::vector<Masks>{{set_of({0, 4}), set_of({1, 5}), set_of({2, 6}), set_of({3, 7})}}));
}

TEST(Pinning, cpus_of_a_cache_stay_together_as_far_as_they_go) {
  const Ranks ranks{rank_on(0, 0, 12, 12)};
  EXPECT_EQ(deal_cpus(ranks, {.ranks = {0}, .executors = {3}, .threads = 4}, places(6, 3)),
            (std::vector<Masks>{{set_of({0, 6, 1, 7}), set_of({3, 9, 4, 10}), set_of({2, 8, 5, 11})}}));
}

TEST(Pinning, executors_have_cpus_of_their_own_rank_first) {
  const Ranks ranks{rank_on(0, 4, 4, 16), rank_on(0, 0, 4, 16)};
  std::vector<CpuPlace> all;
  for (std::size_t cpu = 0; cpu < 8; ++cpu) all.push_back({0, cpu, cpu});
  EXPECT_EQ(deal_cpus(ranks, {.ranks = {0, 1}, .executors = {1, 2}, .threads = 2}, all),
            (std::vector<Masks>{{set_of({4, 5})}, {set_of({0, 1}), set_of({2, 3})}}));
  EXPECT_EQ(deal_cpus(ranks, {.ranks = {0, 1}, .executors = {1, 1}, .threads = 3}, all),
            (std::vector<Masks>{{set_of({4, 5, 6})}, {set_of({0, 1, 2})}}));
  EXPECT_EQ(deal_cpus(ranks, {.ranks = {0, 1}, .executors = {0, 1}, .threads = 6}, all),
            (std::vector<Masks>{{}, {set_of({0, 1, 2, 3, 4, 5})}}));
}

}  // namespace
