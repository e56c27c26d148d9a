// How many executors a node may have.
#pragma once

#include <algorithm>
#include <cstdint>

namespace rankpool::host {

inline constexpr std::uint32_t max_executors = 1024;
/// For each that it has, where tasks wait for others, as far as max_executors goes.
inline constexpr std::uint32_t most_for_one = 4;

/// Places for a node's executors, with those that are spare.
[[nodiscard]] constexpr std::uint32_t slots_for(std::uint32_t executors) {
  if (executors >= max_executors) return executors;
  return std::min(most_for_one * executors, max_executors);
}

}  // namespace rankpool::host
