/// @file
/// What each task of a chaos run does: a pure function of the run's seed and the task's index.
#pragma once

#include <cstdint>

namespace rankpool::test {

enum class Deed : std::uint8_t {
  computes,  ///< keeps a CPU busy
  sleeps,
  exits,  ///< ends its executor in its first attempts, and then computes
  throws,
  hangs,
  ships  ///< takes a megabyte and gives one
};

/// The deeds that occur in a run.
enum class Mix : std::uint8_t {
  calm,   ///< computing and sleeping
  quick,  ///< computing for a moment
  wild    ///< all
};

struct Plan {
  Deed deed = Deed::computes;
  std::uint32_t microseconds = 0;  ///< 0 to 2000, or to 50 of quick ones
  std::uint32_t exits = 0;         ///< attempts that end their executor
  std::uint64_t value = 0;         ///< the task's result
  friend bool operator==(const Plan&, const Plan&) = default;
};

constexpr std::uint64_t scramble(std::uint64_t x) {  // SplitMix64
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31U);
}

constexpr Plan plan_of(std::uint64_t seed, std::uint64_t index, Mix mix) {
  const std::uint64_t dice = scramble(scramble(seed) ^ index);
  Plan plan{.deed = dice % 2 == 0 ? Deed::computes : Deed::sleeps,
            .microseconds = static_cast<std::uint32_t>(scramble(dice) % 2001),
            .value = scramble(dice + 1)};
  if (mix == Mix::quick) {
    plan.deed = Deed::computes;
    plan.microseconds /= 40;
  }
  if (mix != Mix::wild) return plan;
  const std::uint64_t share = scramble(dice + 2) % 10'000;
  if (share < 100) {
    plan.deed = Deed::exits;
    plan.exits = static_cast<std::uint32_t>(1 + share % 3);
  } else if (share < 200) {
    plan.deed = Deed::throws;
  } else if (share < 220) {
    plan.deed = Deed::hangs;
  } else if (share < 420) {
    plan.deed = Deed::ships;
  }
  return plan;
}

}  // namespace rankpool::test
