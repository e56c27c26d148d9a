#include "launch/stop_signals.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>

namespace rankpool::launch {
namespace {

// What a signal handler may use. In the processes forked from this one it does nothing.
std::atomic<int> file{-1};
std::atomic<pid_t> home{0};
std::atomic<int> last{0};
static_assert(std::atomic<int>::is_always_lock_free);

void note(int signal) {
  if (getpid() != home) return;
  const int error = errno;
  last = signal;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(file, &one, sizeof one);
  errno = error;
}

}  // namespace

void heed_stop_signals() {
  if (file >= 0) return;
  const int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made < 0) throw std::system_error(errno, std::generic_category(), "rankpool: eventfd");
  file = made;
  home = getpid();
  for (const int signal : {SIGTERM, SIGUSR1}) {
    struct sigaction action {};
    sigaction(signal, nullptr, &action);
    if ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) continue;
    action = {};
    action.sa_handler = note;
    action.sa_flags = SA_RESTART;
    sigaction(signal, &action, nullptr);
  }
}

int stop_signal_file() { return file; }

int stop_signal() { return last; }

}  // namespace rankpool::launch
