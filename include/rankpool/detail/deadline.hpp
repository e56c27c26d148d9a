/// @file
/// Points in time until which a caller waits.
#pragma once

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string_view>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/export.hpp>
#include <rankpool/options.hpp>

namespace rankpool::detail {

/// @param time to wait from now on; less than nothing is nothing, and more than 30 years is for ever.
/// @returns a time that is not earlier.
/// @throws std::invalid_argument when it is not a number.
inline Deadline deadline_after(Seconds time) {
  using Clock = std::chrono::steady_clock;
  if (!(time <= Seconds::zero()) && !(time > Seconds::zero())) {
    throw std::invalid_argument("timeout must be a number of seconds, not NaN");
  }
  if (time > Seconds(1e9)) return std::nullopt;
  return Clock::now() + std::chrono::ceil<Clock::duration>(std::max(time, Seconds::zero()));
}

/// @throws TimeoutError "<what> within <time> s".
/// @param what did not happen, as in "no item came".
[[noreturn]] RANKPOOL_API void throw_late(std::string_view what, Seconds time);

}  // namespace rankpool::detail
