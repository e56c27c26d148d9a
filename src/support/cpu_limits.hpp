// How many CPUs a process may use, where that is fewer than its CPU mask has: by its control groups' quota of CPU time,
// and by what Slurm has given the job, which not every cluster enforces.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rankpool::support {

struct CpuLimit {
  enum class Source : std::uint8_t { quota, slurm };
  Source source = Source::quota;
  std::uint64_t group = 0;  ///< processes of a machine with the same source and group share the limit
  double cpus = 0;

  bool operator==(const CpuLimit&) const = default;
};

/// The quotas of this process's control group and of those above it, versions 1 and 2.
/// @param root where /proc and /sys are.
std::vector<CpuLimit> cgroup_limits(const std::filesystem::path& root = "/");

/// What the job of this process has on this machine. Empty outside a Slurm job, and where the variables make no sense.
/// @param lookup an environment variable's value. @param process tells this process's own share from the others'.
std::vector<CpuLimit> slurm_limits(const std::function<std::optional<std::string>(const char* name)>& lookup,
                                   std::uint64_t process);

}  // namespace rankpool::support
