// A rank's handle on its zygote.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include <rankpool/detail/home_process.hpp>

#include "host/shared_memory.hpp"
#include "host/zygote_process.hpp"
#include "support/unique_fd.hpp"

namespace rankpool::host {

/// What to say of a zygote that was killed: by whom can't be known.
inline constexpr const char* usual_killer = "the kernel does that when memory is short, and says so in its log (dmesg)";

/// Which signal handlers executors get.
enum class ExecutorSignals {
  inherited,  ///< those of the process at the fork
  reset       ///< the defaults: the process has handlers of MPI's
};

/// The zygote lives until the handle is destroyed or the rank dies. Calls may come from any thread: those of several
/// pools. They throw std::runtime_error when the zygote is gone; SIGPIPE is never raised.
class Zygote {
 public:
  /// Writes out the C and C++ streams and forks. Throws std::system_error when no process can be had.
  static Zygote fork_now(ExecutorMain main, ExecutorSignals signals = ExecutorSignals::inherited);

  Zygote(Zygote&& other) noexcept;
  Zygote& operator=(Zygote&& other) noexcept;
  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;
  /// Returns when the zygote, its executors and what they started are gone.
  ~Zygote();

  /// Makes the channel known as `channel`, a number of the caller's choice; returns when that is done. The memory's
  /// descriptor must be open. Throws std::runtime_error with the zygote's reason.
  void attach(std::uint64_t channel, const SharedMemory& memory);
  /// Kills the channel's executors and lets go of it; afterwards nothing here writes to it.
  void detach(std::uint64_t channel);

  /// Asks for an executor. The slot tells what became of it: `starting`, later `exited`, or `unforkable`. Does nothing
  /// when the slot has one.
  void spawn(std::uint64_t channel, std::uint32_t slot);
  /// Asks for an executor's death, with all it has started. Does nothing when the slot has none.
  void kill(std::uint64_t channel, std::uint32_t slot);

  /// The same, if the executor is still where its slot's `expired` says, and not in its next task by now.
  void expire(std::uint64_t channel, std::uint32_t slot);

  [[nodiscard]] bool alive() const;
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// How many threads the process had: with more than one, a fork may have inherited a lock that nobody releases.
  [[nodiscard]] std::ptrdiff_t threads_at_fork() const { return threads_at_fork_; }

 private:
  Zygote(support::UniqueFd socket, pid_t pid, std::ptrdiff_t threads_at_fork);

  void ask(const ZygoteRequest& request, int file = -1);
  void send(const ZygoteRequest& request, int file = -1) const;
  void await_reply() const;
  [[noreturn]] void throw_gone() const;

  support::UniqueFd socket_;
  std::unique_ptr<std::mutex> asking_ = std::make_unique<std::mutex>();  ///< from a request to its reply
  pid_t pid_ = 0;                                                        ///< 0: moved from
  std::ptrdiff_t threads_at_fork_;
  detail::HomeProcess owner_;  ///< a fork of the rank has a copy of the handle, but no zygote
};

}  // namespace rankpool::host
