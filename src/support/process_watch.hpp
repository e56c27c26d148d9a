// Sees another process of this machine end, whoever its parent is.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>

#include "support/unique_fd.hpp"

namespace rankpool::support {

/// A process, told from those that had its number before or will have it.
struct ProcessIdentity {
  static constexpr std::uint64_t unknown_start = 0;

  pid_t pid = 0;
  std::uint64_t start = unknown_start;  ///< in clock ticks since the machine's start

  /// Of the process that has the number now. Without /proc, or of a process that has ended, the start is unknown.
  [[nodiscard]] static ProcessIdentity of(pid_t pid);
  [[nodiscard]] static ProcessIdentity of_this_process();

  /// Also of a process that nobody has reaped yet, and when another one has the number.
  [[nodiscard]] bool has_ended() const;

  /// Whether another process has the number; then no process group of that number is this one's any more.
  [[nodiscard]] bool is_replaced() const;

  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

/// Keeps to one process: where the kernel lends a descriptor of it by that, otherwise by number and start time.
class ProcessWatch {
 public:
  /// Of the process that has the number now; if none has it, one that has ended.
  explicit ProcessWatch(pid_t pid) : ProcessWatch(ProcessIdentity::of(pid)) {}
  /// Of a process that may have ended by now, and whose number may be another's. With an unknown start: of the process
  /// that has the number now.
  explicit ProcessWatch(const ProcessIdentity& process);

  [[nodiscard]] pid_t pid() const { return process_.pid; }
  /// Also of a process that nobody has reaped yet.
  [[nodiscard]] bool has_ended() const;
  /// Waits for the end. @returns whether it has come.
  [[nodiscard]] bool await_end(std::chrono::milliseconds patience) const;
  /// Sends SIGKILL, to no other process.
  void kill() const;

 private:
  enum class State {
    watched,
    ended  ///< before it could be watched: its number tells nothing
  };

  ProcessIdentity process_;
  UniqueFd file_;  ///< none where the kernel or a limit on open files refuses it
  State state_ = State::watched;
};

}  // namespace rankpool::support
