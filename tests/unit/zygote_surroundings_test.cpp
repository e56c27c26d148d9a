// What is around a zygote: the program it was forked in, the rank that owns it, and the limits of processes.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "host/channel.hpp"
#include "host/member.hpp"
#include "host/zygote.hpp"
#include "zygote_helpers.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::host::test;  // NOLINT(google-build-using-namespace)
using rankpool::host::Channel;
using rankpool::host::Phase;
using rankpool::host::SlotCommand;
using rankpool::host::SlotState;
using rankpool::host::Zygote;

TEST(Zygote, the_programs_handlers_reach_executors_unless_reset) {
  std::signal(SIGUSR1, SIG_IGN);
  std::signal(SIGCHLD, SIG_IGN);  // would cost the zygote its wait statuses
  int deaths = 0;
  for (const auto signals : {rankpool::host::ExecutorSignals::inherited, rankpool::host::ExecutorSignals::reset}) {
    Channel channel = make_channel(1);
    Zygote zygote = Zygote::fork_now(executor_main, signals);
    zygote.attach(id, channel.memory());
    zygote.spawn(id, 0);
    ASSERT_TRUE(wait_for_state(channel, 0, SlotState::serving));
    kill(channel.slot(0).pid, SIGUSR1);
    kill(channel.slot(0).pid, SIGTERM);
    ASSERT_TRUE(wait_for_state(channel, 0, SlotState::exited));
    if (WTERMSIG(channel.slot(0).wait_status) == SIGUSR1) ++deaths;
  }
  std::signal(SIGUSR1, SIG_DFL);
  std::signal(SIGCHLD, SIG_DFL);
  EXPECT_EQ(deaths, 1);
}

TEST(Zygote, nothing_printed_before_the_fork_appears_twice) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  ASSERT_EQ(exit_code_of([&] {
              dup2(ends[1], STDOUT_FILENO);
              std::printf("once");
              std::cout << "only";
              Channel channel = make_channel(2);
              Zygote zygote = Zygote::fork_now(executor_main);
              zygote.attach(id, channel.memory());
              channel.slot(0).granted = come_back;
              channel.slot(1).granted = exit_with_3;
              for (std::uint32_t i : {0U, 1U}) zygote.spawn(id, i);
              for (std::uint32_t i : {0U, 1U}) {
                if (!wait_for_state(channel, i, SlotState::exited)) return 1;
              }
              return 0;
            }),
            0);
  close(ends[1]);
  std::string text(100, '\0');
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, read(ends[0], text.data(), text.size()))));
  close(ends[0]);
  EXPECT_EQ(text, "onceonly");
}

TEST(Zygote, threads_at_the_fork_are_counted) {
  EXPECT_EQ(Zygote::fork_now(executor_main).threads_at_fork(), 1);
  std::atomic<bool> stop{false};
  std::thread thread([&stop] {
    while (!stop) std::this_thread::sleep_for(1ms);
  });
  EXPECT_EQ(Zygote::fork_now(executor_main).threads_at_fork(), 2);
  stop = true;
  thread.join();
}

TEST_F(ZygoteTest, a_fork_of_the_rank_has_no_zygote) {
  EXPECT_EQ(exit_code_of([this] { return zygote.alive() ? 1 : 0; }), 0);
  EXPECT_TRUE(zygote.alive());
}

/// A rank of its own process, with a zygote and an executor that has started a process; `run` is its life then.
struct Rank {
  Channel channel = make_channel(1);
  pid_t pid = 0;

  explicit Rank(const std::function<void()>& run) {
    channel.slot(0).granted = start_sleep_in_own_group;
    pid = fork();
    if (pid != 0) return;
    Zygote zygote = Zygote::fork_now(executor_main);
    channel.slot(0).head = static_cast<std::uint64_t>(zygote.pid());
    zygote.attach(id, channel.memory());
    zygote.spawn(id, 0);
    run();
    _exit(0);
  }
  /// Kills the rank and tells whether all that belongs to it goes.
  bool leaves_nothing() {
    if (!wait_for_state(channel, 0, SlotState::serving)) return false;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return goes_soon(static_cast<pid_t>(channel.slot(0).head.load())) && goes_soon(channel.slot(0).pid) &&
           goes_soon(sleeper_of(channel, 0));
  }
};

TEST(Zygote, a_killed_rank_leaves_nothing) { EXPECT_TRUE(Rank(stay_for_long).leaves_nothing()); }

TEST(Zygote, a_killed_rank_leaves_nothing_though_another_process_holds_its_socket) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  Rank rank([&ends] {
    const pid_t holder = fork();
    if (holder == 0) {
      close(ends[1]);
      char end = 0;
      alarm(60);
      [[maybe_unused]] const ssize_t n = read(ends[0], &end, 1);  // until the test is over
      _exit(0);
    }
    stay_for_long();
  });
  EXPECT_TRUE(rank.leaves_nothing());
  close(ends[0]);
  close(ends[1]);
}

TEST(Zygote, the_end_of_the_thread_that_forked_it_does_not_matter) {
  Channel channel = make_channel(1);
  std::optional<Zygote> zygote;
  std::thread([&zygote] { zygote.emplace(Zygote::fork_now(executor_main)); }).join();
  std::this_thread::sleep_for(20ms);
  zygote->attach(id, channel.memory());
  zygote->spawn(id, 0);
  EXPECT_TRUE(wait_for_state(channel, 0, SlotState::serving));
}

TEST_F(ZygoteTest, a_channel_there_is_no_address_space_for_is_an_error_with_the_reason) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer needs address space too";
#endif
  rlimit none{std::size_t{1} << 20U, RLIM_INFINITY};
  rlimit before{};
  ASSERT_EQ(prlimit(zygote.pid(), RLIMIT_AS, &none, &before), 0);
  Channel large = make_channel(1);
  try {
    zygote.attach(id + 2, large.memory());
    FAIL() << "attached without address space";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("address space"), std::string::npos) << error.what();
  }
  ASSERT_EQ(prlimit(zygote.pid(), RLIMIT_AS, &before, nullptr), 0);
  EXPECT_GT(serve(0), 0) << "it goes on";
}

TEST(Zygote, without_processes_left_the_slot_is_unforkable_until_there_are) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to become a user without processes";
  EXPECT_EQ(exit_code_of([] {
              constexpr uid_t nobody_else = 64321;
              if (setresgid(nobody_else, nobody_else, nobody_else) != 0) return 1;
              if (setresuid(nobody_else, nobody_else, nobody_else) != 0) return 2;
              Channel channel = make_channel(1);
              Zygote zygote = Zygote::fork_now(executor_main);
              zygote.attach(id, channel.memory());
              rlimit before{};
              const rlimit one{1, 1000};
              rlimit enough{1000, 1000};
              prctl(PR_SET_DUMPABLE, 1);
              if (prlimit(zygote.pid(), RLIMIT_NPROC, &one, &before) != 0) return 3;
              zygote.spawn(id, 0);
              if (!wait_for_state(channel, 0, SlotState::unforkable)) return 4;
              if (channel.slot(0).wait_status != EAGAIN || !channel.header().exited.erase(0)) return 5;
              if (prlimit(zygote.pid(), RLIMIT_NPROC, &enough, nullptr) != 0) return 6;
              zygote.spawn(id, 0);
              if (!wait_for_state(channel, 0, SlotState::serving)) return 7;
              if (setrlimit(RLIMIT_NPROC, &one) != 0) return 8;
              try {
                const Zygote impossible = Zygote::fork_now(executor_main);
                return 9;
              } catch (const std::system_error& error) {
                if (error.code().value() != EAGAIN) return 10;
                if (std::string(error.what()).find("ulimit -u") == std::string::npos) return 11;
              }
              return 0;
            }),
            0);
}

TEST(Zygote, start_up_cost) {
  using Clock = std::chrono::steady_clock;
  using Microseconds = std::chrono::duration<double, std::micro>;
  constexpr std::uint32_t executors = 32;
  Channel channel = make_channel(executors);
  const auto start = Clock::now();
  Zygote zygote = Zygote::fork_now(executor_main);
  const auto forked = Clock::now();
  zygote.attach(id, channel.memory());
  const auto attached = Clock::now();
  Microseconds shortest = 1h;
  for (std::uint32_t i = 0; i < executors; ++i) {
    const auto asked = Clock::now();
    zygote.spawn(id, i);
    ASSERT_TRUE(wait_for_state(channel, i, SlotState::serving));
    shortest = std::min<Microseconds>(shortest, Clock::now() - asked);
  }
  const auto spawned = Clock::now();
  zygote.detach(id);
  const auto detached = Clock::now();
  std::printf(
      "fork_now %.0f us, attach %.0f us; per executor: spawn until it serves %.0f us (at best %.0f), detach and kill "
      "%.0f us\n",
      Microseconds(forked - start).count(), Microseconds(attached - forked).count(),
      Microseconds(spawned - attached).count() / executors, shortest.count(),
      Microseconds(detached - spawned).count() / executors);
  EXPECT_LT(Microseconds(spawned - attached).count() / executors, 1e6);
}

/// A member rank in its own process; this one is the leader.
struct MemberTest : testing::Test {
  Channel channel = make_channel(std::vector<std::uint32_t>{0, 1});
  pid_t rank = 0;

  void SetUp() override {
    rank = fork();
    if (rank != 0) return;
    alarm(60);
    try {
      Zygote zygote = Zygote::fork_now(executor_main);
      channel.slot(0).head = static_cast<std::uint64_t>(zygote.pid());
      zygote.attach(id, channel.memory());
      serve_as_member(channel, id, 1, zygote);
      zygote.detach(id);
    } catch (const std::exception&) {
      _exit(1);
    }
    _exit(0);
  }
  void TearDown() override {
    if (rank > 0) kill(rank, SIGKILL);
    if (rank > 0) waitpid(rank, nullptr, 0);
  }

  void command(SlotCommand what) {
    for (std::uint32_t i : {0U, 1U}) channel.slot(i).command = what;
    channel.header().member_bells[1].ring();
  }
  [[nodiscard]] pid_t zygote() { return static_cast<pid_t>(channel.slot(0).head.load()); }
};

TEST_F(MemberTest, spawns_and_kills_on_command_in_its_own_slots_until_the_channel_closes) {
  command(SlotCommand::spawn);
  ASSERT_TRUE(wait_for_state(channel, 1, SlotState::serving));
  command(SlotCommand::kill);
  ASSERT_TRUE(wait_for_state(channel, 1, SlotState::exited));
  EXPECT_EQ(channel.slot(0).state, SlotState::vacant) << "another member's slot";
  EXPECT_EQ(channel.slot(0).command, SlotCommand::kill);

  channel.header().phase = Phase::closed;
  channel.header().member_bells[1].ring();
  int status = -1;
  ASSERT_EQ(waitpid(rank, &status, 0), rank);
  rank = 0;
  EXPECT_EQ(status, 0);
}

TEST_F(MemberTest, tells_the_leader_when_its_zygote_was_killed) {
  channel.slot(1).granted = start_sleep;
  command(SlotCommand::spawn);
  ASSERT_TRUE(wait_for_state(channel, 1, SlotState::serving));
  kill(zygote(), SIGKILL);
  ASSERT_TRUE(wait_for_state(channel, 1, SlotState::exited));
  EXPECT_TRUE(channel.header().exited.erase(1));
  EXPECT_EQ(WTERMSIG(channel.slot(1).wait_status), SIGKILL);
  EXPECT_TRUE(goes_soon(channel.slot(1).pid));
  EXPECT_TRUE(goes_soon(sleeper_of(channel, 1)));
  command(SlotCommand::spawn);
  ASSERT_TRUE(wait_for_state(channel, 1, SlotState::unforkable));
  EXPECT_TRUE(wait_until(channel, [this] { return channel.header().exited.erase(1); }));
}

TEST_F(MemberTest, kills_no_stranger_whose_number_a_task_wrote) {
  const pid_t stranger = fork();
  if (stranger == 0) {
    setsid();
    stay_for_long();
  }
  channel.slot(1).granted = start_sleep;
  command(SlotCommand::spawn);
  ASSERT_TRUE(wait_for_state(channel, 1, SlotState::serving));
  const pid_t executor = channel.slot(1).pid;
  while (getsid(stranger) != stranger) std::this_thread::yield();
  channel.slot(1).pid = stranger;
  kill(zygote(), SIGKILL);
  ASSERT_TRUE(wait_for_state(channel, 1, SlotState::exited));
  EXPECT_TRUE(goes_soon(executor));
  EXPECT_TRUE(goes_soon(sleeper_of(channel, 1)));
  EXPECT_FALSE(is_gone(stranger));
  kill(stranger, SIGKILL);
  waitpid(stranger, nullptr, 0);
}

TEST_F(MemberTest, goes_by_its_slots_as_they_were_at_the_start) {
  ASSERT_TRUE(wait_until(channel, [this] { return zygote() != 0; }));  // it has attached
  channel.slot(0).member = 1;
  channel.slot(1).member = 0;
  channel.header().leader = {};
  command(SlotCommand::spawn);
  ASSERT_TRUE(wait_for_state(channel, 1, SlotState::serving));
  kill(zygote(), SIGKILL);
  ASSERT_TRUE(wait_for_state(channel, 1, SlotState::exited));
  EXPECT_EQ(channel.slot(0).state, SlotState::vacant) << "another member's slot";
}

/// A leader in its own process, whose channel this one has attached.
struct MemberOfTest : testing::Test {
  pid_t leader = 0;
  std::optional<Channel> channel;

  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    leader = fork();
    if (leader == 0) {
      alarm(60);
      Channel own = make_channel(1);
      const int file = own.memory().file();
      static_cast<void>(!write(ends[1], &file, sizeof file));
      for (;;) pause();
    }
    int file = -1;
    ASSERT_EQ(read(ends[0], &file, sizeof file), static_cast<ssize_t>(sizeof file));
    for (const int end : ends) close(end);
    channel.emplace(rankpool::host::SharedMemory::attach(leader, file));
  }
  void TearDown() override { reap(); }
  void reap() {
    if (leader > 0) kill(leader, SIGKILL);
    if (leader > 0) waitpid(leader, nullptr, 0);
    leader = 0;
  }
  void expect_alone() {
    Zygote zygote = Zygote::fork_now(executor_main);
    zygote.attach(id, channel->memory());
    try {
      serve_as_member(*channel, id, 0, zygote);
      FAIL() << "served without a leader";
    } catch (const std::runtime_error& error) {
      EXPECT_NE(std::string(error.what()).find("hands out this node's work"), std::string::npos) << error.what();
    }
  }
};

TEST_F(MemberOfTest, a_leader_that_is_gone_says_so) {
  reap();
  expect_alone();
}

TEST_F(MemberOfTest, a_leader_that_is_dead_but_not_reaped_says_so) {
  kill(leader, SIGKILL);
  siginfo_t end{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(leader), &end, WEXITED | WNOWAIT), 0);
  expect_alone();
}

}  // namespace
