// How long to sleep between two looks at something that cannot wake us.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "support/spin.hpp"

namespace rankpool::transport {

/// While a message of this size is on its way, MPI moves it only when it is called: this often.
inline constexpr std::uint64_t large_message = std::uint64_t{64} << 10U;
inline constexpr std::chrono::nanoseconds sending_pause = std::chrono::microseconds(100);

class Backoff {
 public:
  using Clock = std::chrono::steady_clock;

  /// Something happened: the next waits are short again.
  void reset() noexcept {
    if (state_ == State::spinning) trust_.note_success();
    state_ = State::fresh;
  }

  /// The same, where nobody is in a hurry for what comes next.
  void ease() noexcept {
    if (is_attentive() || state_ == State::fresh || state_ == State::spinning) return reset();
    state_ = State::calm;
  }
  [[nodiscard]] bool is_calm() const noexcept { return state_ == State::calm; }

  /// A reply may come soon, to a message of a new kind.
  void expect_reply() noexcept {
    attentive_until_ = Clock::now() + attention;
    trust_.renew();
    reset();
  }
  /// Whether such a reply was expected lately, and more like it may follow.
  [[nodiscard]] bool is_attentive() const noexcept { return Clock::now() < attentive_until_; }

  /// How long to sleep now; zero means look again once others had the CPU.
  /// @param cpu_is_idle nobody else wants it.
  [[nodiscard]] std::chrono::nanoseconds next(bool cpu_is_idle = true) noexcept {
    if (state_ == State::calm) return calm_sleep;
    const auto now = Clock::now();
    if (state_ == State::fresh) {
      state_ = cpu_is_idle && trust_.worth_trying() ? State::spinning : State::sleeping;
      idle_since_ = now;
      sleep_ = shortest_sleep;
    }
    const auto idle = now - idle_since_;
    if (state_ == State::spinning) {
      if (idle < spin && cpu_is_idle) return std::chrono::nanoseconds::zero();
      if (idle >= spin) trust_.note_failure();
      state_ = State::sleeping;
    }
    const std::chrono::nanoseconds result = sleep_;
    sleep_ = std::min<std::chrono::nanoseconds>(2 * sleep_, idle < patience ? longest_sleep : longest_idle_sleep);
    return result;
  }

  // Where tasks are short, a reply comes within this time.
  static constexpr std::chrono::microseconds spin{200};
  // The kernel's timer slack is 50 us: less is not to be had.
  static constexpr std::chrono::microseconds shortest_sleep{50};
  // While there is work, a message that somebody waits for waits at most this long. Costs 1.4 % of a core.
  static constexpr std::chrono::milliseconds longest_sleep{1};
  // Where executors have work for longer, and nobody waits for what they do. Waking costs some 25 us in a virtual
  // machine.
  static constexpr std::chrono::milliseconds calm_sleep{8};
  static constexpr std::chrono::milliseconds attention{3};
  // Nothing has happened for `patience`: an idle pool must cost well under 1 % of a core.
  static constexpr std::chrono::milliseconds longest_idle_sleep{5};
  static constexpr std::chrono::milliseconds patience{200};

 private:
  enum class State { fresh, spinning, sleeping, calm };

  support::SpinTrust trust_;
  State state_ = State::fresh;
  Clock::time_point attentive_until_{};
  Clock::time_point idle_since_{};
  std::chrono::nanoseconds sleep_{};
};

}  // namespace rankpool::transport
