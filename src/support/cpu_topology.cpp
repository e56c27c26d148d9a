#include "support/cpu_topology.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <set>
#include <string>

namespace rankpool::support {
namespace {

namespace fs = std::filesystem;

// "0,32", "0-7,64-71": the first is the lowest.
std::optional<std::size_t> lowest_in(const fs::path& list) {
  std::size_t cpu = 0;
  if (std::ifstream file(list); file >> cpu) return cpu;
  return std::nullopt;
}

fs::path folder(const fs::path& root, std::size_t cpu) {
  return root / "sys/devices/system/cpu" / ("cpu" + std::to_string(cpu));
}

std::size_t core_of(const fs::path& root, std::size_t cpu) {
  return lowest_in(folder(root, cpu) / "topology/thread_siblings_list").value_or(cpu);
}

std::size_t cache_of(const fs::path& root, std::size_t cpu) {
  for (const char* index : {"index3", "index2"}) {
    if (const auto first = lowest_in(folder(root, cpu) / "cache" / index / "shared_cpu_list")) return *first;
  }
  return lowest_in(folder(root, cpu) / "topology/core_siblings_list").value_or(0);
}

}  // namespace

std::vector<CpuPlace> cpu_places(std::span<const std::uint64_t> cpus, const fs::path& root) {
  std::vector<CpuPlace> places;
  for_each_cpu(cpus, [&](std::size_t cpu) { places.push_back({cache_of(root, cpu), core_of(root, cpu), cpu}); });
  std::ranges::sort(places);
  return places;
}

CpuMask one_of_each_core(std::span<const std::uint64_t> cpus, const fs::path& root) {
  CpuMask ones;
  std::set<std::size_t> cores;
  for_each_cpu(cpus, [&](std::size_t cpu) {
    if (cores.insert(core_of(root, cpu)).second) add_cpu(ones, cpu);
  });
  return ones;
}

}  // namespace rankpool::support
