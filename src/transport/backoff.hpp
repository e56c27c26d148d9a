// How long to sleep between two looks at something that cannot wake us.
#pragma once

#include <algorithm>
#include <chrono>

namespace rankpool::transport {

class Backoff {
 public:
  using Clock = std::chrono::steady_clock;

  /// Something happened: the next waits are short again.
  void reset() noexcept { state_ = State::fresh; }

  /// How long to sleep now; zero means look again, once others had the CPU.
  /// @param spin since something happened: time without sleep.
  [[nodiscard]] std::chrono::nanoseconds next(std::chrono::nanoseconds spin = brief_spin) noexcept {
    const auto now = Clock::now();
    if (state_ == State::fresh) {
      state_ = State::idle;
      idle_since_ = now;
      sleep_ = shortest_sleep;
    }
    const auto idle = now - idle_since_;
    if (idle < spin) return std::chrono::nanoseconds::zero();
    const std::chrono::nanoseconds result = sleep_;
    sleep_ = std::min<std::chrono::nanoseconds>(2 * sleep_, idle < patience ? longest_sleep : longest_idle_sleep);
    return result;
  }

  // A reply to a message that was just sent comes within this time, if the peer waits for it.
  static constexpr std::chrono::microseconds brief_spin{20};
  // Where a CPU has nothing else to do: as long as sleeping instead would make a reply come noticeably later.
  static constexpr std::chrono::microseconds patient_spin{1000};
  // The kernel's timer slack is 50 us: less is not to be had.
  static constexpr std::chrono::microseconds shortest_sleep{50};
  // While there is work, a message waits at most this long. Costs 1.4 % of a core.
  static constexpr std::chrono::milliseconds longest_sleep{1};
  // Nothing has happened for `patience`: an idle pool must cost well under 1 % of a core.
  static constexpr std::chrono::milliseconds longest_idle_sleep{5};
  static constexpr std::chrono::milliseconds patience{200};

 private:
  enum class State { fresh, idle };

  State state_ = State::fresh;
  Clock::time_point idle_since_{};
  std::chrono::nanoseconds sleep_{};
};

}  // namespace rankpool::transport
