#include "support/process_watch.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace rankpool::support {

ProcessWatch::ProcessWatch(pid_t pid) : pid_(pid), file_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}

bool ProcessWatch::has_ended() const {
  if (!file_) return ::kill(pid_, 0) != 0 && errno == ESRCH;
  pollfd end{file_.get(), POLLIN, 0};
  return poll(&end, 1, 0) > 0;
}

void ProcessWatch::kill() const {
  if (file_) {
    syscall(SYS_pidfd_send_signal, file_.get(), SIGKILL, nullptr, 0);
  } else {
    ::kill(pid_, SIGKILL);
  }
}

}  // namespace rankpool::support
