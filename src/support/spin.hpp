// Looking again and again instead of sleeping: saves the time that falling asleep and waking up take, if what is waited
// for comes soon, and costs others the CPU if not. Which of both it is shows: after some vain attempts in a row there
// are no more until there is a reason to expect better.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "support/futex.hpp"

namespace rankpool::support {

/// Whether waiting should begin with spinning. For one thread that waits; renew() may come from any.
class SpinTrust {
 public:
  [[nodiscard]] bool worth_trying() const { return attempts_.load(std::memory_order_relaxed) != 0; }
  /// What is waited for next may well come soon: the reply to something new, say.
  void renew() { attempts_.store(most_attempts, std::memory_order_relaxed); }
  void note_success() {
    renew();
    misses_wanted_ = 1;
  }
  void note_failure() {
    const int left = attempts_.load(std::memory_order_relaxed);
    if (left != 0) attempts_.store(left - 1, std::memory_order_relaxed);
    if (left == 1) misses_wanted_ = std::min(2 * misses_wanted_, most_misses);
  }
  /// Without trust: what was waited for came so soon that spinning would have found it, unless who brings it needs the
  /// same CPU. Tried once more now and then, each time in vain after twice as many such waits.
  void note_miss() {
    if (worth_trying() || ++misses_ < misses_wanted_) return;
    misses_ = 0;
    attempts_.store(1, std::memory_order_relaxed);
  }

 private:
  static constexpr int most_attempts = 8;
  static constexpr int most_misses = 64;
  std::atomic<int> attempts_ = most_attempts;
  int misses_ = 0;
  int misses_wanted_ = 1;
};

/// Looks some 64 times, which takes less than a microsecond or two.
template <class Found>
bool spin_round(const Found& found) {
  constexpr int looks = 64;
  for (int look = 0; look < looks; ++look) {
    if (found()) return true;
    spin_pause();
  }
  return false;
}

/// Spins, and lets others that wait for the same CPU have it now and then: often where there are any.
class Spinner {
 public:
  using Clock = std::chrono::steady_clock;

  /// Looks until `found()` or the time is over, or until that does not pay any more.
  /// @returns whether it found.
  template <class Found, class Pays>
  bool until(Clock::time_point deadline, const Found& found, const Pays& pays) {
    for (int round = 1; pays(); ++round) {
      if (spin_round(found)) return true;
      const auto now = Clock::now();
      if (now >= deadline) return false;
      if (round % rounds_per_yield_ == 0) yield(now);
    }
    return false;
  }

 private:
  void yield(Clock::time_point now) {
    sched_yield();
    rounds_per_yield_ = Clock::now() - now < shared ? std::min(2 * rounds_per_yield_, most_rounds) : 1;
  }

  static constexpr int most_rounds = 16;  // some 10 us
  /// Longer than a yield to nobody.
  static constexpr std::chrono::nanoseconds shared{1500};

  int rounds_per_yield_ = most_rounds;
};

}  // namespace rankpool::support
