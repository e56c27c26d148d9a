/// @file
/// A process that lives as an executor does, and what it leaves behind.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "host/crash_handler.hpp"
#include "host/stderr_tail.hpp"
#include "host/surroundings.hpp"
#include "zygote_helpers.hpp"

namespace rankpool::test {

using Writes = std::vector<std::string>;

inline constexpr std::array crash_signals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};

/// What an executor that ran `body` wrote to descriptors 1 and 2, one entry per write(), and what it has left.
struct Life {
  explicit Life(
      const std::function<void()>& body, const std::function<void()>& before = [] {}) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_DIRECT) != 0) ADD_FAILURE() << "no packet pipe";
    std::cout.flush();
    std::fflush(nullptr);
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      alarm(30);
      before();
      host::enter_executor_surroundings({}, 0, host::SavedSignals::current(), parent);
      host::keep_stderr(channel, 0);
      host::dump_crashes_to(channel.last_words(0).crash);
      body();
      host::leave(0);
    }
    close(ends[1]);
    std::array<char, 8192> packet{};
    for (ssize_t n = 0; (n = read(ends[0], packet.data(), packet.size())) > 0;) {
      writes.emplace_back(packet.data(), static_cast<std::size_t>(n));
    }
    close(ends[0]);
    waitpid(pid, &status, 0);
    const auto& left = channel.last_words(0);
    tail = left.errors.written_at(channel.progress(0));
    for (const int signal : crash_signals) stack_left = stack_left || !left.crash.stack(signal).empty();
  }

  [[nodiscard]] bool ended_well() const { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }
  [[nodiscard]] bool died_of(int signal) const { return WIFSIGNALED(status) && WTERMSIG(status) == signal; }

  host::Channel channel = host::test::make_channel(1);
  Writes writes;
  int status = -1;
  std::string tail;
  bool stack_left = false;
};

/// A core file of each crash would only fill the disk, and the sanitizers see crashes first.
inline void die_simply() {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  for (const int signal : crash_signals) std::signal(signal, SIG_DFL);
}

// Undefined on purpose, which the sanitizers need not say.
[[gnu::no_sanitize("undefined")]] inline void write_nowhere() {
  volatile int* volatile nowhere = nullptr;
  *nowhere = 1;
}

}  // namespace rankpool::test
