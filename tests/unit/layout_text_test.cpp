#include "launch/layout_text.hpp"

#include <gtest/gtest.h>

#include "layout_helpers.hpp"

namespace {

using namespace rankpool::launch;  // NOLINT(google-build-using-namespace)
using rankpool::test::quota;
using rankpool::test::rank_on;
using rankpool::test::Ranks;
using rankpool::test::slurm;
using rankpool::test::with;

std::string line(const Ranks& ranks, std::string_view library = "Open MPI v4.1.4") {
  return describe(plan_layout(ranks, {}), ranks, library);
}

TEST(LayoutText, a_program_alone) {
  EXPECT_EQ(line({rank_on(0, 0, 8, 8)}, ""), "8 executors, 1 rank, 1 node: n0 (8 on 8 CPUs); shared memory, no MPI");
}

TEST(LayoutText, what_limits_the_cpus) {
  EXPECT_EQ(line({with(rank_on(0, 0, 64, 64), quota(4))}, ""),
            "4 executors, 1 rank, 1 node: n0 (4 on 4 of 64 CPUs by quota); shared memory, no MPI");
  EXPECT_EQ(line({with(rank_on(0, 0, 64, 64), slurm(1))}),
            "1 executor, 1 rank, 1 node: n0 (1 on 1 of 64 CPUs by Slurm); Open MPI v4.1.4; shared memory on a node");
}

TEST(LayoutText, bound_executors) {
  EXPECT_EQ(line(Ranks(2, with(rank_on(0, 0, 4, 4), slurm(4)))),
            "3 executors, 2 ranks, 1 node: n0 (3 on 4 CPUs, bound); Open MPI v4.1.4; shared memory on a node");
}

TEST(LayoutText, equal_nodes_are_one_entry) {
  Ranks ranks;
  for (int node = 0; node < 1000; ++node) {
    ranks.push_back(rank_on(node, 0, node == 500 ? 8 : 32, 32));
    ranks.back().cpus_online = 0;
  }
  EXPECT_EQ(line(ranks),
            "31975 executors, 1000 ranks, 1000 nodes: n0 (31 on 32 CPUs), 998 like n1 (32 on 32 CPUs), "
            "n500 (8 on 8 CPUs); Open MPI v4.1.4; shared memory on a node, MPI between nodes");
}

TEST(LayoutText, many_kinds_of_nodes_are_cut_short) {
  Ranks ranks;
  for (int node = 0; node < 20; ++node) ranks.push_back(rank_on(node, 0, static_cast<std::size_t>(node) + 2, 0));
  const std::string text = line(ranks);
  EXPECT_NE(text.find("n7 (9 on 9 CPUs), and 12 others; "), std::string::npos) << text;
  EXPECT_EQ(text.find("n8 "), std::string::npos) << text;
}

}  // namespace
