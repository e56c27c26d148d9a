// Sets of CPUs, one bit each, as the kernel has them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace rankpool::support {

using CpuMask = std::vector<std::uint64_t>;

inline std::uint32_t count_cpus(std::span<const std::uint64_t> cpus) {
  std::uint32_t count = 0;
  for (const std::uint64_t word : cpus) count += static_cast<std::uint32_t>(std::popcount(word));
  return count;
}

inline bool has_cpu(std::span<const std::uint64_t> cpus, std::size_t cpu) {
  return cpu / 64 < cpus.size() && (cpus[cpu / 64] >> (cpu % 64) & 1U) != 0;
}

inline void add_cpu(CpuMask& to, std::size_t cpu) {
  to.resize(std::max(to.size(), cpu / 64 + 1));
  to[cpu / 64] |= std::uint64_t{1} << (cpu % 64);
}

inline void add_cpus(CpuMask& to, std::span<const std::uint64_t> cpus) {
  to.resize(std::max(to.size(), cpus.size()));
  for (std::size_t word = 0; word < cpus.size(); ++word) to[word] |= cpus[word];
}

template <class Visit>
void for_each_cpu(std::span<const std::uint64_t> cpus, const Visit& visit) {
  for (std::size_t word = 0; word < cpus.size(); ++word) {
    for (std::uint64_t left = cpus[word]; left != 0; left &= left - 1) {
      visit(word * 64 + static_cast<std::size_t>(std::countr_zero(left)));
    }
  }
}

}  // namespace rankpool::support
