// A child process to be watched and killed.
#pragma once

#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>

namespace rankpool::test {

/// A process that does nothing until it is killed.
class Sleeper {
 public:
  Sleeper() : Sleeper([] {}) {}
  /// It calls `prepare` first, and has by the time this returns, unless that ends its first thread.
  template <typename Prepare>
  explicit Sleeper(Prepare&& prepare) {
    int ready[2];
    if (pipe(ready) != 0) throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      close(ready[0]);
      prepare();
      close(ready[1]);
      sleep();
    }
    close(ready[1]);
    char end = 0;
    static_cast<void>(!read(ready[0], &end, 1));
    close(ready[0]);
  }
  /// With a number of our choice, which only root can have.
  explicit Sleeper(pid_t number) {
    clone_args arguments{};
    arguments.exit_signal = SIGCHLD;
    arguments.set_tid = reinterpret_cast<std::uintptr_t>(&number);
    arguments.set_tid_size = 1;
    pid_ = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof(arguments)));
    if (pid_ == 0) sleep();
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  ~Sleeper() { reap(); }

  [[nodiscard]] pid_t pid() const { return pid_; }
  void reap() {
    if (!exists()) return;
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  /// Returns when it is dead, but not reaped.
  void kill() const {
    ::kill(pid_, SIGKILL);
    siginfo_t end{};
    waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOWAIT);
  }

  [[nodiscard]] bool exists() const { return pid_ > 0; }
  [[nodiscard]] bool lives() const {
    siginfo_t end{};
    return waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOHANG | WNOWAIT) == 0 && end.si_pid == 0;
  }

 private:
  [[noreturn]] static void sleep() {
    alarm(60);
    for (;;) pause();
  }

  pid_t pid_ = 0;
};

}  // namespace rankpool::test
