/// @file
/// Whether this process is the one in which something began, or a fork of it.
#pragma once

#include <string_view>

#include <rankpool/export.hpp>

namespace rankpool::detail {

/// How many fork() lie between the program's start and this process.
RANKPOOL_API extern unsigned fork_count;

/// Knows the process that made it from its forks; unlike getpid() at the cost of a load.
class HomeProcess {
 public:
  [[nodiscard]] bool is_here() const noexcept { return fork_count == made_at_; }

  /// @param what was used: "map".
  /// @throws std::logic_error in a fork.
  RANKPOOL_API void require(std::string_view what) const;

 private:
  unsigned made_at_ = fork_count;
};

/// For a process that a task forked and that comes back out of the task: it is no second executor. Says so and ends it.
[[noreturn]] RANKPOOL_API void leave_forked_task() noexcept;

}  // namespace rankpool::detail
