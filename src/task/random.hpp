/// @file
/// Philox4x32-10, the block function behind TaskRng.
#pragma once

#include <array>
#include <cstdint>

namespace rankpool::task {

/// 128 random bits from a 128-bit counter and a 64-bit key; words in the order of the published test vectors.
[[nodiscard]] std::array<std::uint32_t, 4> philox(const std::array<std::uint32_t, 4>& counter,
                                                  const std::array<std::uint32_t, 2>& key);

/// The next task of this thread begins its stream anew, even if it has the call's number and the index of the last one:
/// a process whose own threads run tasks may have several pools.
void forget_random_numbers() noexcept;

}  // namespace rankpool::task
