#include "support/stop_signals.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>

namespace rankpool::support {
namespace {

// What a signal handler may use.
std::atomic<int> file{-1};
std::atomic<pid_t> noting{0};    ///< the process in which they are noted
std::atomic<pid_t> ignoring{0};  ///< and the one in which they do nothing: a fork inherits the number, but has another
std::atomic<int> heeding{0};
std::atomic<int> last{0};
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int signal) {
  const int error = errno;
  const pid_t self = getpid();
  if (self == noting && heeding > 0) {
    last = signal;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(file, &one, sizeof one);
  } else if (self != ignoring) {
    std::signal(signal, SIG_DFL);
    raise(signal);  // comes when this handler returns
  }
  errno = error;
}

}  // namespace

void catch_stop_signals() {
  if (file >= 0) return;
  const int made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made < 0) throw std::system_error(errno, std::generic_category(), "rankpool: eventfd");
  file = made;
  noting = getpid();
  for (const int signal : {SIGTERM, SIGUSR1}) {
    struct sigaction action {};
    sigaction(signal, nullptr, &action);
    if ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) continue;
    action = {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(signal, &action, nullptr);
  }
}

HeedingStopSignals::HeedingStopSignals() { ++heeding; }

HeedingStopSignals::~HeedingStopSignals() { --heeding; }

void leave_stop_signals_to_master() { ignoring = getpid(); }

int stop_signal_file() { return file; }

int stop_signal() { return last; }

}  // namespace rankpool::support
