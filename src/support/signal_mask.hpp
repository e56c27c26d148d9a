// Which signals a thread takes.
#pragma once

#include <csignal>

namespace rankpool::support {

[[nodiscard]] inline sigset_t all_signals() {
  sigset_t all;
  sigfillset(&all);
  return all;
}

/// Blocks the given signals, and no others, in this thread as long as it lives; threads and processes started meanwhile
/// inherit that.
class SignalMask {
 public:
  explicit SignalMask(const sigset_t& blocked) { pthread_sigmask(SIG_SETMASK, &blocked, &previous_); }
  SignalMask(const SignalMask&) = delete;
  SignalMask& operator=(const SignalMask&) = delete;
  ~SignalMask() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }

  [[nodiscard]] const sigset_t& previous() const { return previous_; }

 private:
  sigset_t previous_{};
};

}  // namespace rankpool::support
