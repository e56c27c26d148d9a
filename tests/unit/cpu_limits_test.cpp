#include "support/cpu_limits.hpp"

#include <unistd.h>

#include <fstream>
#include <map>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;
using rankpool::support::cgroup_limits;
using rankpool::support::CpuLimit;
using rankpool::support::slurm_limits;

/// A folder with the files of /proc and /sys that a test writes.
class Files {
 public:
  Files() : root_(fs::temp_directory_path() / ("cpu_limits_test." + std::to_string(getpid()))) {}
  ~Files() { fs::remove_all(root_); }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  void write(const fs::path& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  [[nodiscard]] std::vector<double> limits() const {
    std::vector<double> cpus;
    for (const CpuLimit& limit : cgroup_limits(root_)) {
      EXPECT_EQ(limit.source, CpuLimit::Source::quota);
      cpus.push_back(limit.cpus);
    }
    return cpus;
  }
  [[nodiscard]] const fs::path& root() const { return root_; }

 private:
  fs::path root_;
};

using Cpus = std::vector<double>;

TEST(CgroupLimits, no_files_are_no_limits) { EXPECT_EQ(Files().limits(), Cpus{}); }

TEST(CgroupLimits, version_2_has_quotas_of_the_group_and_of_those_above) {
  const Files files;
  files.write("proc/self/cgroup", "0::/user.slice/job.scope\n");
  files.write("proc/self/mountinfo", "24 23 0:22 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  files.write("sys/fs/cgroup/user.slice/cpu.max", "400000 100000\n");
  files.write("sys/fs/cgroup/user.slice/job.scope/cpu.max", "25000 10000\n");
  EXPECT_EQ(files.limits(), (Cpus{2.5, 4}));
  files.write("sys/fs/cgroup/user.slice/job.scope/cpu.max", "max 100000\n");
  EXPECT_EQ(files.limits(), Cpus{4});
  const auto limits = cgroup_limits(files.root());
  EXPECT_NE(limits.at(0).group, 0U);
}

TEST(CgroupLimits, a_container_sees_its_own_group_as_the_top) {
  const Files files;
  files.write("proc/self/cgroup", "0::/\n");
  files.write("proc/self/mountinfo", "24 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
  files.write("sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(files.limits(), Cpus{1.5});
}

TEST(CgroupLimits, version_1_has_quotas_in_the_tree_of_the_cpu_controller) {
  const Files files;
  files.write("proc/self/cgroup", "5:cpuset:/jobs\n4:cpu,cpuacct:/docker/12ab/inner\n0::/\n");
  files.write("proc/self/mountinfo",
              "30 23 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
              "31 23 0:28 /docker/12ab /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
  files.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000\n");
  files.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  files.write("sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_quota_us", "-1\n");
  files.write("sys/fs/cgroup/cpu,cpuacct/inner/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(files.limits(), Cpus{3});
}

TEST(CgroupLimits, a_group_outside_of_what_is_mounted_is_the_top) {
  const Files files;
  files.write("proc/self/cgroup", "0::/../elsewhere\n");
  files.write("proc/self/mountinfo", "24 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
  files.write("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(files.limits(), Cpus{2});
}

TEST(CgroupLimits, damaged_files_are_no_limits) {
  const Files files;
  files.write("proc/self/cgroup", "nonsense\n0::\n::\n");
  files.write("proc/self/mountinfo", "24 23\n- -\n24 23 0:22 / /sys/fs/cgroup rw - cgroup2\n - \n");
  files.write("sys/fs/cgroup/cpu.max", "-100000 100000\n");
  EXPECT_EQ(files.limits(), Cpus{});
  files.write("sys/fs/cgroup/cpu.max", "");
  EXPECT_EQ(files.limits(), Cpus{});
}

using Variables = std::map<std::string, std::string>;
using Limits = std::vector<CpuLimit>;

Limits limits_of(const Variables& variables, std::uint64_t process = 99) {
  const auto lookup = [&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
  return slurm_limits(lookup, process);
}

CpuLimit slurm(std::uint64_t group, double cpus) { return {CpuLimit::Source::slurm, group, cpus}; }

TEST(SlurmLimits, the_jobs_cpus_on_this_node_are_for_all_its_tasks_there) {
  EXPECT_EQ(limits_of({{"SLURM_JOB_ID", "7"}, {"SLURM_CPUS_ON_NODE", "4"}}), Limits{slurm(7, 4)});
}

TEST(SlurmLimits, what_makes_no_sense_is_ignored) {
  EXPECT_EQ(limits_of({}), Limits{});
  EXPECT_EQ(limits_of({{"SLURM_CPUS_ON_NODE", "4"}}), Limits{});  // no job
  EXPECT_EQ(limits_of({{"SLURM_JOB_ID", "7"}}), Limits{});
  for (const char* value : {"", "0", "-4", "4x", "4(x2)", "99999999999999999999"}) {
    EXPECT_EQ(limits_of({{"SLURM_JOB_ID", "7"}, {"SLURM_CPUS_ON_NODE", value}}), Limits{}) << value;
  }
}

TEST(SlurmLimits, cpus_per_task_count_only_for_ranks_that_srun_has_started) {
  Variables variables{{"SLURM_JOB_ID", "7"}, {"SLURM_CPUS_ON_NODE", "64"}, {"SLURM_CPUS_PER_TASK", "4"}};
  EXPECT_EQ(limits_of(variables).size(), 1U);
  variables["SLURM_PROCID"] = "3";
  variables["PMIX_RANK"] = "3";
  const Limits mine = limits_of(variables, 99);
  ASSERT_EQ(mine.size(), 2U);
  EXPECT_EQ(mine[1].cpus, 4);
  EXPECT_NE(mine[1].group, limits_of(variables, 100).at(1).group);
  variables["OMPI_COMM_WORLD_SIZE"] = "8";  // mpirun
  EXPECT_EQ(limits_of(variables).size(), 1U);
}

TEST(SlurmLimits, the_step_of_mpiruns_daemon_may_have_fewer_cpus_than_the_job) {
  Variables variables{{"SLURM_JOB_ID", "7"}, {"SLURM_CPUS_ON_NODE", "1"}, {"SLURM_JOB_CPUS_PER_NODE", "32(x4)"}};
  EXPECT_EQ(limits_of(variables), Limits{slurm(7, 1)});
  variables["OMPI_COMM_WORLD_SIZE"] = "4";
  EXPECT_EQ(limits_of(variables), Limits{slurm(7, 32)});
  variables["SLURM_JOB_CPUS_PER_NODE"] = "32(x4),8,16(x2)";
  EXPECT_EQ(limits_of(variables), Limits{slurm(7, 8)});
  variables["SLURM_CPUS_ON_NODE"] = "16";
  EXPECT_EQ(limits_of(variables), Limits{slurm(7, 16)});
  for (const char* nonsense : {"", ",", "x", "32(x4),"}) {
    variables["SLURM_JOB_CPUS_PER_NODE"] = nonsense;
    EXPECT_GE(limits_of(variables).at(0).cpus, 16) << nonsense;
  }
}

}  // namespace
