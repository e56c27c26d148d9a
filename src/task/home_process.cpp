#include <rankpool/detail/home_process.hpp>

#include <pthread.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

namespace rankpool::detail {

unsigned fork_count = 0;

namespace {

[[maybe_unused]] const int counting = pthread_atfork(nullptr, nullptr, [] { ++fork_count; });

}  // namespace

void HomeProcess::require(std::string_view what) const {
  if (is_here()) return;
  throw std::logic_error("rankpool: " + std::string(what) +
                         " was used in a fork of the process that has the pool. The pool answers only there: use it "
                         "before the fork, or let a task do what the fork does.");
}

void leave_forked_task() noexcept {
  constexpr std::string_view text =
      "rankpool: a process that a task forked has come back out of the task, and is ended; end it with _exit() there\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
  _exit(EXIT_FAILURE);
}

}  // namespace rankpool::detail
