// What an executor makes of the process it was forked into: nothing of the rank's but its memory and its output.
#pragma once

#include <csignal>

#include <array>
#include <cstdint>

#include "host/channel.hpp"

namespace rankpool::host {

/// Signal mask and dispositions, to be put back in a forked process.
class SavedSignals {
 public:
  /// What the process has now.
  static SavedSignals current();
  /// Nothing blocked, everything at its default: for a process that has a library's handlers.
  static SavedSignals defaults();

  void set_mask(const sigset_t& mask) { mask_ = mask; }
  /// Handlers first, then the mask, so that a signal that was held back meets the right handler.
  void restore() const noexcept;

 private:
  std::array<struct sigaction, NSIG> actions_{};
  sigset_t mask_{};
};

/// To be called first thing in a forked executor, whose parent is `zygote`. It leads a session and a process group of
/// its own, dies with the zygote, reads nothing from stdin, has no descriptors but 0-2, has `signals`, runs on the CPUs
/// that the settings have for its slot, is the kernel's first choice when memory is short, knows nothing of MPI's
/// launcher, limits its libraries' threads and its memory, and writes whole lines.
void enter_executor_surroundings(const ExecutorSettings& settings, std::uint32_t slot, const SavedSignals& signals,
                                 int zygote) noexcept;

/// Whether an executor can still have half of its memory limit of `bytes`.
bool memory_is_left(std::uint64_t bytes) noexcept;

/// Closes the descriptors of [first, last].
void close_descriptors(unsigned first, unsigned last) noexcept;

/// Opens /dev/null as each of the descriptors 0-2 that is closed, lest a file of ours become somebody's output.
/// @throws std::system_error when there is no /dev/null.
void open_standard_descriptors();

/// Ends the process without destructors and exit handlers, which belong to the rank: output is written out, and
/// coverage or profile data where it is gathered.
[[noreturn]] void leave(int status) noexcept;

}  // namespace rankpool::host
