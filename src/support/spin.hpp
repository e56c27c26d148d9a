// Looking again and again instead of sleeping: saves the time that falling asleep and waking up take, if what is waited
// for comes soon, and costs others the CPU if not. Which of both it is shows: after some vain attempts in a row there
// are no more until there is a reason to expect better.
#pragma once

#include <sched.h>

#include <chrono>

#include "support/futex.hpp"

namespace rankpool::support {

/// Whether waiting should begin with spinning.
class SpinTrust {
 public:
  [[nodiscard]] bool worth_trying() const { return attempts_ != 0; }
  /// What is waited for next may well come soon: the reply to something new, say.
  void renew() { attempts_ = most_attempts; }
  void note_success() { renew(); }
  void note_failure() {
    if (attempts_ != 0) --attempts_;
  }

 private:
  static constexpr int most_attempts = 8;
  int attempts_ = most_attempts;
};

/// Looks until `found()` or the time is over. Lets others that spin on the same CPU have their turn.
/// @returns whether it found.
template <class Found>
bool spin_until(std::chrono::steady_clock::time_point deadline, const Found& found) {
  constexpr int looks_between_yields = 64;  // some 2 us
  do {
    for (int look = 0; look < looks_between_yields; ++look) {
      if (found()) return true;
      spin_pause();
    }
    sched_yield();
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

}  // namespace rankpool::support
