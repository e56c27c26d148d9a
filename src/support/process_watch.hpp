// Sees another process of this machine end, whoever its parent is.
#pragma once

#include <sys/types.h>

#include "support/unique_fd.hpp"

namespace rankpool::support {

class ProcessWatch {
 public:
  /// The process must not have been reaped yet: its number might be another's by then.
  explicit ProcessWatch(pid_t pid);

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Also of a process that nobody has reaped yet.
  [[nodiscard]] bool has_ended() const;
  /// Sends SIGKILL.
  void kill() const;

 private:
  pid_t pid_;
  UniqueFd file_;  ///< none where the kernel or a limit on open files refuses it; then the number must do
};

}  // namespace rankpool::support
