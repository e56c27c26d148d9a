// The end of a run when a thread of the program calls exit().
#pragma once

#include <functional>

namespace rankpool::launch {

/// While it lives, std::exit() in any thread ends the run first: before static objects are destroyed.
///
/// Who ends the run, the thread that called run() or one that exits, is a matter of one lock. An exiting thread never
/// gives it back: the other one, whose return from run() would end the program with another status, stays there.
class ExitGuard {
 public:
  /// @param end called with the program's status in the thread that exits.
  explicit ExitGuard(std::function<void(int status)> end);
  ~ExitGuard();
  ExitGuard(const ExitGuard&) = delete;
  ExitGuard& operator=(const ExitGuard&) = delete;

  /// The run ends by itself, with `last`: an exit() that comes from now on waits for that, and has nothing to end.
  void finish(const std::function<void()>& last);

  /// Does not return in a thread that is inside run() while another one is in exit().
  static void stay_for_exit();

 private:
  static void at_exit(int status, void* unused);
  void withdraw();

  std::function<void(int status)> end_;
  ExitGuard* outer_;  ///< that of the run() in whose master this one was called
};

}  // namespace rankpool::launch
