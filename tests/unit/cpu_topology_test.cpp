#include "support/cpu_topology.hpp"

#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;
using rankpool::support::count_cpus;
using rankpool::support::cpu_places;
using rankpool::support::CpuMask;
using rankpool::support::CpuPlace;
using rankpool::support::one_of_each_core;
using Places = std::vector<CpuPlace>;

/// Eight CPUs: four cores of two threads, two cores to a cache.
class EightCpus : public testing::Test {
 protected:
  EightCpus() {
    for (int cpu = 0; cpu < 8; ++cpu) {
      const fs::path folder = root_ / "sys/devices/system/cpu" / ("cpu" + std::to_string(cpu));
      fs::create_directories(folder / "topology");
      fs::create_directories(folder / "cache/index3");
      const int core = cpu % 4;
      std::ofstream(folder / "topology/thread_siblings_list") << core << ',' << core + 4 << '\n';
      std::ofstream(folder / "cache/index3/shared_cpu_list") << (core < 2 ? "0-1,4-5\n" : "2-3,6-7\n");
    }
  }
  ~EightCpus() override { fs::remove_all(root_); }

  fs::path root_ = fs::temp_directory_path() / ("cpu_topology_test." + std::to_string(getpid()));
};

TEST_F(EightCpus, threads_of_a_core_and_cores_of_a_cache_follow_each_other) {
  EXPECT_EQ(cpu_places(CpuMask{0xff}, root_),
            (Places{{0, 0, 0}, {0, 0, 4}, {0, 1, 1}, {0, 1, 5}, {2, 2, 2}, {2, 2, 6}, {2, 3, 3}, {2, 3, 7}}));
}

TEST_F(EightCpus, only_cpus_of_the_mask_are_counted) {
  EXPECT_EQ(cpu_places(CpuMask{0xb2}, root_), (Places{{0, 0, 4}, {0, 1, 1}, {0, 1, 5}, {2, 3, 7}}));
  EXPECT_EQ(one_of_each_core(CpuMask{0xb2}, root_), CpuMask{0x92});
  EXPECT_EQ(one_of_each_core(CpuMask{0xff}, root_), CpuMask{0x0f});
}

TEST(CpuTopology, where_nothing_can_be_told_each_cpu_is_a_core) {
  EXPECT_EQ(cpu_places(CpuMask{0x05}, "/nowhere"), (Places{{0, 0, 0}, {0, 2, 2}}));
  EXPECT_EQ(one_of_each_core(CpuMask{0, 3}, "/nowhere"), (CpuMask{0, 3}));
}

TEST(CpuTopology, this_machine_can_be_asked) {
  const CpuMask first{1};
  EXPECT_EQ(cpu_places(first).size(), 1U);
  EXPECT_EQ(count_cpus(one_of_each_core(first)), 1U);
}

}  // namespace
