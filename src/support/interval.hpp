// Something to be done now and then, by somebody who comes by often.
#pragma once

#include <chrono>

namespace rankpool::support {

class Interval {
 public:
  using Clock = std::chrono::steady_clock;

  explicit constexpr Interval(Clock::duration length) : length_(length) {}

  /// @returns whether the interval has passed since it last returned true.
  bool is_over(Clock::time_point now = Clock::now()) {
    if (now < next_) return false;
    next_ = now + length_;
    return true;
  }

 private:
  Clock::duration length_;
  Clock::time_point next_{};
};

}  // namespace rankpool::support
