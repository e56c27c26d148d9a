/// @file
/// What the tests of the zygote share: executors that do as their slot says, and a leader's way of waiting for them.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "host/channel.hpp"
#include "host/zygote.hpp"
#include "support/futex.hpp"

namespace rankpool::host::test {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

inline constexpr std::uint64_t id = 7;

/// What an executor of these tests does; stands in its slot's `granted`.
enum Script : std::uint64_t {
  stay,
  crash,
  exit_with_3,
  come_back,
  write_to_roll,
  start_sleep,                 ///< leaves a process in its group
  start_sleep_in_own_group,    ///< as mpirun does
  start_sleep_in_own_session,  ///< as a daemon does
};

/// Starts a process that sleeps long and waits until it does; its pid goes to the slot's `wanted`.
inline void start_sleeper(Channel& channel, std::uint32_t slot, void (*prepare)()) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return;
  const pid_t pid = fork();
  if (pid == 0) {
    prepare();
    execlp("sleep", "sleep", "1000", nullptr);
    _exit(1);
  }
  close(ends[1]);
  char end = 0;
  [[maybe_unused]] const ssize_t none = read(ends[0], &end, 1);  // closed by exec
  close(ends[0]);
  channel.slot(slot).wanted = static_cast<std::uint64_t>(pid);
}

[[noreturn]] inline void stay_for_long() {
  alarm(300);  // should a test go wrong
  for (;;) pause();
}

inline void executor_main(Channel& channel, std::uint32_t slot) {
  switch (channel.slot(slot).granted.load()) {
    case crash:
      std::signal(SIGSEGV, SIG_DFL);  // sanitizers catch it
      raise(SIGSEGV);
      break;
    case exit_with_3:
      std::exit(3);
    case come_back:
      return;
    case write_to_roll:
      std::signal(SIGSEGV, SIG_DFL);
      channel.roll(slot).strike();
      break;
    case start_sleep:
      start_sleeper(channel, slot, [] {});
      break;
    case start_sleep_in_own_group:
      start_sleeper(channel, slot, [] { setpgid(0, 0); });
      break;
    case start_sleep_in_own_session:
      start_sleeper(channel, slot, [] { setsid(); });
      break;
    default:
      break;
  }
  channel.slot(slot).state = SlotState::serving;
  channel.ring_leader();
  stay_for_long();
}

/// @param slot_members the member of each slot.
inline Channel make_channel(const std::vector<std::uint32_t>& slot_members) {
  Channel::Config config;
  config.slot_ranks.assign(slot_members.size(), 0);
  config.slot_members = slot_members;
  config.reservation = std::size_t{64} << 20U;
  return Channel(config);
}

inline Channel make_channel(std::uint32_t slots) { return make_channel(std::vector<std::uint32_t>(slots, 0)); }

/// Waits as a leader does, woken by its bell. @returns false if `come_true` doesn't within 20 s.
inline bool wait_until(Channel& channel, const std::function<bool()>& come_true) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  auto& header = channel.header();
  header.sleeping = 1;
  while (std::chrono::steady_clock::now() < deadline) {
    const std::uint32_t rings = header.bell.rings.load();
    if (come_true()) return true;
    support::futex_wait(header.bell.rings, rings, 200ms);
  }
  return come_true();
}

inline bool wait_for_state(Channel& channel, std::uint32_t slot, SlotState state) {
  return wait_until(channel, [&] { return channel.slot(slot).state == state; });
}

/// Gone, or a zombie that only waits for its parent.
inline bool is_gone(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return true;
  const auto name_end = text.rfind(')');
  return name_end == std::string::npos || text.substr(name_end + 2, 1) == "Z";
}

inline bool goes_soon(pid_t pid) {
  for (const auto deadline = std::chrono::steady_clock::now() + 20s; std::chrono::steady_clock::now() < deadline;) {
    if (is_gone(pid)) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

inline pid_t sleeper_of(Channel& channel, std::uint32_t slot) {
  return static_cast<pid_t>(channel.slot(slot).wanted.load());
}

/// A zygote with a channel.
struct ZygoteTest : testing::Test {
  static constexpr std::uint32_t slots = 4;
  Channel channel = make_channel(slots);
  Zygote zygote = Zygote::fork_now(executor_main);

  void SetUp() override { zygote.attach(id, channel.memory()); }

  /// @returns the executor's pid, or 0.
  pid_t serve(std::uint32_t slot, Script script = stay) {
    channel.slot(slot).granted = script;
    zygote.spawn(id, slot);
    return wait_for_state(channel, slot, SlotState::serving) ? channel.slot(slot).pid.load() : 0;
  }
  int status_of(std::uint32_t slot, Script script) {
    channel.slot(slot).granted = script;
    zygote.spawn(id, slot);
    return wait_for_state(channel, slot, SlotState::exited) ? channel.slot(slot).wait_status.load() : -1;
  }
};

/// Runs `body` in a forked process with a deadline. @returns its exit code, or -1.
inline int exit_code_of(const std::function<int()>& body) {
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(60);
    int code = 99;
    try {
      code = body();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    _exit(code);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace rankpool::host::test
