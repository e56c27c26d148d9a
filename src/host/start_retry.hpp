// When executors that could not be started are tried again: soon at first, then ever more seldom, since what keeps them
// away (a limit on processes, a lack of memory) may last for seconds or for hours.
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

namespace rankpool::host {

class StartRetry {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::chrono::nanoseconds first_pause = std::chrono::milliseconds(100);
  static constexpr std::chrono::nanoseconds longest_pause = std::chrono::seconds(10);
  /// A host without any executor is given up after these, 0.7 s after the last one went.
  static constexpr int rounds_without_any = 3;

  /// An executor could not be started: plans a round unless there is one.
  void failed(Clock::time_point now) {
    if (!planned()) plan(now, first_pause);
  }
  /// No executor is left, and none is being started: rounds come soon again, and count. Once that is known, hearing it
  /// again changes nothing.
  void none_left(Clock::time_point now) {
    if (std::exchange(counts_, true)) return;
    rounds_ = 0;
    plan(now, first_pause);
  }
  /// One that had failed serves.
  void succeeded() {
    pause_ = first_pause;
    counts_ = false;
  }
  /// None is left to be tried.
  void finish() {
    due_ = never;
    counts_ = false;
  }

  [[nodiscard]] bool planned() const { return due_ != never; }
  /// Begins a round and plans the next. @returns false when it is too early for one.
  bool start_round(Clock::time_point now) {
    if (now < due_) return false;
    ++rounds_;
    plan(now, std::min(2 * pause_, longest_pause));
    return true;
  }
  /// @returns rounds begun since none was left; 0 while there are some.
  [[nodiscard]] int rounds_without() const { return counts_ ? rounds_ : 0; }
  /// @returns the time until the next round is due; very long when there is none.
  [[nodiscard]] std::chrono::nanoseconds until_next_round(Clock::time_point now) const {
    return due_ - std::min(due_, now);
  }

 private:
  static constexpr Clock::time_point never = Clock::time_point::max();

  void plan(Clock::time_point now, std::chrono::nanoseconds pause) {
    pause_ = pause;
    due_ = now + pause;
  }

  std::chrono::nanoseconds pause_ = first_pause;
  Clock::time_point due_ = never;
  bool counts_ = false;  ///< none is left
  int rounds_ = 0;
};

}  // namespace rankpool::host
