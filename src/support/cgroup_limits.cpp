#include "support/cpu_limits.hpp"

#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>

namespace rankpool::support {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

bool contains(const std::string& list, std::string_view name) {
  for (const std::string& entry : split(list, ',')) {
    if (entry == name) return true;
  }
  return false;
}

/// A mounted tree of control groups.
struct Hierarchy {
  fs::path mount;
  fs::path top;  ///< the group that is seen at `mount`: in a container often not the topmost
  bool unified = false;
};

// proc(5): "36 35 0:30 <top> <mount> <options> <optional>... - <type> <source> <super options>"
std::vector<Hierarchy> cpu_hierarchies(const fs::path& root) {
  std::vector<Hierarchy> hierarchies;
  std::ifstream mounts(root / "proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto place = split(line.substr(0, dash), ' ');
    const auto kind = split(line.substr(dash + 3), ' ');
    if (place.size() < 5 || kind.empty()) continue;
    const bool unified = kind[0] == "cgroup2";
    const bool counts_time = kind[0] == "cgroup" && contains(kind.back(), "cpu");
    if (unified || counts_time) hierarchies.push_back({root / fs::path(place[4]).relative_path(), place[3], unified});
  }
  return hierarchies;
}

// "0::/user.slice" in version 2, "4:cpu,cpuacct:/user.slice" in version 1
std::optional<fs::path> group_of_this_process(const fs::path& root, bool unified) {
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (unified ? controllers.empty() : contains(controllers, "cpu")) return line.substr(second + 1);
  }
  return std::nullopt;
}

// A quota is microseconds of CPU time in each period; "max" and -1 are none.
std::optional<double> quota_of(const fs::path& group, bool unified) {
  double quota = 0;
  double period = 0;
  if (unified) {
    std::ifstream(group / "cpu.max") >> quota >> period;
  } else {
    std::ifstream(group / "cpu.cfs_quota_us") >> quota;
    std::ifstream(group / "cpu.cfs_period_us") >> period;
  }
  if (quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

void add_quotas(const Hierarchy& hierarchy, const fs::path& group, std::vector<CpuLimit>& limits) {
  fs::path below = group.lexically_relative(hierarchy.top);
  // A group from outside of what is mounted here: all that can be seen is the top.
  if (below.empty() || *below.begin() == "..") below = ".";
  for (fs::path path = (hierarchy.mount / below).lexically_normal();; path = path.parent_path()) {
    if (!path.has_filename()) path = path.parent_path();
    struct stat status {};
    const auto cpus = quota_of(path, hierarchy.unified);
    if (cpus && ::stat(path.c_str(), &status) == 0) {
      limits.push_back({.source = CpuLimit::Source::quota, .group = status.st_ino, .cpus = *cpus});
    }
    if (path == hierarchy.mount || path == path.root_path()) return;
  }
}

}  // namespace

std::vector<CpuLimit> cgroup_limits(const fs::path& root) {
  std::vector<CpuLimit> limits;
  for (const Hierarchy& hierarchy : cpu_hierarchies(root)) {
    if (const auto group = group_of_this_process(root, hierarchy.unified)) add_quotas(hierarchy, *group, limits);
  }
  return limits;
}

}  // namespace rankpool::support
