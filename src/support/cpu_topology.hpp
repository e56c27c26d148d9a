// Which CPUs are near each other.
#pragma once

#include <compare>
#include <cstddef>
#include <filesystem>
#include <vector>

#include "support/cpu_mask.hpp"

namespace rankpool::support {

/// Where a CPU is, in the order in which neighbours follow each other.
struct CpuPlace {
  std::size_t cache = 0;  ///< the lowest CPU of those that share its largest cache
  std::size_t core = 0;   ///< the lowest CPU of those that are threads of its core
  std::size_t cpu = 0;

  auto operator<=>(const CpuPlace&) const = default;
};

/// The places of a mask's CPUs, neighbours beside each other. Where nothing can be told each CPU is a core.
/// @param root where /sys is.
std::vector<CpuPlace> cpu_places(std::span<const std::uint64_t> cpus, const std::filesystem::path& root = "/");

/// One CPU of each core.
CpuMask one_of_each_core(std::span<const std::uint64_t> cpus, const std::filesystem::path& root = "/");

}  // namespace rankpool::support
