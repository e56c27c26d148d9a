#include "host/zygote.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "host/member.hpp"

namespace {

using namespace std::chrono_literals;
using rankpool::host::Channel;
using rankpool::host::Phase;
using rankpool::host::SlotCommand;
using rankpool::host::SlotState;
using rankpool::host::Zygote;

constexpr std::uint64_t id = 7;

/// What an executor of these tests does; stands in its slot's `granted`.
enum Script : std::uint64_t {
  stay,
  crash,
  exit_with_3,
  come_back,
  start_sleep,                 ///< leaves a process in its group
  start_sleep_in_own_group,    ///< as mpirun does
  start_sleep_in_own_session,  ///< as a daemon does
};

/// Starts a process that sleeps long and waits until it does; its pid goes to the slot's `wanted`.
void start_sleeper(Channel& channel, std::uint32_t slot, void (*prepare)()) {
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

[[noreturn]] void stay_for_long() {
  alarm(300);  // should a test go wrong
  for (;;) pause();
}

void executor_main(Channel& channel, std::uint32_t slot) {
  switch (channel.slot(slot).granted.load()) {
    case crash:
      std::signal(SIGSEGV, SIG_DFL);  // sanitizers catch it
      raise(SIGSEGV);
      break;
    case exit_with_3:
      std::exit(3);
    case come_back:
      return;
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

Channel make_channel(std::uint32_t slots) {
  Channel::Config config;
  config.slot_ranks.assign(slots, 0);
  config.slot_members.assign(slots, 0);
  config.reservation = std::size_t{64} << 20U;
  return Channel(config);
}

/// Waits as a leader does, woken by its bell. @returns false if `come_true` doesn't within 20 s.
bool wait_until(Channel& channel, const std::function<bool()>& come_true) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  auto& header = channel.header();
  header.sleeping = 1;
  while (std::chrono::steady_clock::now() < deadline) {
    const std::uint32_t rings = header.bell.rings.load();
    if (come_true()) return true;
    rankpool::support::futex_wait(header.bell.rings, rings, 200ms);
  }
  return come_true();
}

bool wait_for_state(Channel& channel, std::uint32_t slot, SlotState state) {
  return wait_until(channel, [&] { return channel.slot(slot).state == state; });
}

/// Gone, or a zombie that only waits for its parent.
bool is_gone(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return true;
  const auto name_end = text.rfind(')');
  return name_end == std::string::npos || text.substr(name_end + 2, 1) == "Z";
}

bool goes_soon(pid_t pid) {
  for (const auto deadline = std::chrono::steady_clock::now() + 20s; std::chrono::steady_clock::now() < deadline;) {
    if (is_gone(pid)) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

pid_t sleeper_of(Channel& channel, std::uint32_t slot) { return static_cast<pid_t>(channel.slot(slot).wanted.load()); }

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
int exit_code_of(const std::function<int()>& body) {
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

TEST_F(ZygoteTest, executors_start_in_their_slots) {
  for (std::uint32_t i = 0; i < slots; ++i) {
    const pid_t pid = serve(i);
    ASSERT_GT(pid, 0);
    EXPECT_EQ(getpgid(pid), pid);
  }
}

TEST_F(ZygoteTest, a_crash_is_reported_with_its_signal) {
  const int status = status_of(1, crash);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << status;
  EXPECT_TRUE(channel.header().exited.erase(1));
}

TEST_F(ZygoteTest, an_exit_is_reported_with_its_status) {
  const int status = status_of(0, exit_with_3);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 3) << status;
}

TEST_F(ZygoteTest, an_executor_whose_main_comes_back_ends_well) { EXPECT_EQ(status_of(0, come_back), 0); }

TEST_F(ZygoteTest, a_killed_executor_is_replaced) {
  const pid_t first = serve(2);
  ASSERT_GT(first, 0);
  zygote.kill(id, 2);
  ASSERT_TRUE(wait_for_state(channel, 2, SlotState::exited));
  EXPECT_EQ(WTERMSIG(channel.slot(2).wait_status), SIGKILL);
  const pid_t second = serve(2);
  ASSERT_GT(second, 0);
  EXPECT_NE(second, first);
}

TEST_F(ZygoteTest, an_executor_that_is_where_its_time_was_over_is_killed) {
  ASSERT_GT(serve(1, start_sleep), 0);
  channel.slot(1).tail = 640;
  channel.slot(1).expired_tail = 640;
  channel.slot(1).expired_finished = rankpool::host::Progress::no_run;
  zygote.expire(id, 1);
  ASSERT_TRUE(wait_for_state(channel, 1, SlotState::exited));
  EXPECT_EQ(WTERMSIG(channel.slot(1).wait_status), SIGKILL);
  EXPECT_TRUE(goes_soon(sleeper_of(channel, 1)));
}

TEST_F(ZygoteTest, an_executor_that_has_gone_on_since_is_left_running) {
  const pid_t pid = serve(1);
  ASSERT_GT(pid, 0);
  channel.slot(1).tail = 641;
  channel.slot(1).expired_tail = 640;
  channel.slot(1).expired_finished = rankpool::host::Progress::no_run;
  zygote.expire(id, 1);
  zygote.expire(id, 0);                     // has no executor
  zygote.attach(id + 1, channel.memory());  // answered when that is done
  EXPECT_EQ(channel.slot(1).state, SlotState::serving);
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  EXPECT_NE(text.substr(text.rfind(')') + 2, 1), "T") << "it must not be left stopped";
}

TEST_F(ZygoteTest, killing_or_spawning_twice_does_nothing) {
  zygote.kill(id, 0);
  zygote.kill(id, slots + 5);
  zygote.spawn(id + 1, 0);
  const pid_t pid = serve(0);
  ASSERT_GT(pid, 0);
  zygote.spawn(id, 0);
  zygote.attach(id + 1, channel.memory());  // answered after the spawn
  EXPECT_EQ(channel.slot(0).pid, pid);
  EXPECT_EQ(channel.slot(0).state, SlotState::serving);
}

TEST_F(ZygoteTest, what_an_executor_started_dies_with_it) {
  for (const Script script : {start_sleep, start_sleep_in_own_group}) {
    ASSERT_GT(serve(0, script), 0);
    const pid_t sleeper = sleeper_of(channel, 0);
    ASSERT_FALSE(is_gone(sleeper));
    zygote.kill(id, 0);
    ASSERT_TRUE(wait_for_state(channel, 0, SlotState::exited));
    EXPECT_TRUE(goes_soon(sleeper)) << "script " << script;
  }
}

TEST_F(ZygoteTest, what_another_executor_started_lives_on) {
  ASSERT_GT(serve(0, start_sleep_in_own_group), 0);
  ASSERT_GT(serve(1, start_sleep_in_own_group), 0);
  zygote.kill(id, 0);
  ASSERT_TRUE(goes_soon(sleeper_of(channel, 0)));
  zygote.kill(id, 0);
  EXPECT_FALSE(is_gone(sleeper_of(channel, 1)));
}

TEST_F(ZygoteTest, nothing_is_left_when_the_handle_goes) {
  std::vector<pid_t> processes{zygote.pid()};
  std::uint32_t slot = 0;
  for (const Script script : {stay, start_sleep, start_sleep_in_own_group, start_sleep_in_own_session}) {
    processes.push_back(serve(slot, script));
    if (script != stay) processes.push_back(sleeper_of(channel, slot));
    ++slot;
  }
  for (const pid_t pid : processes) ASSERT_FALSE(is_gone(pid));
  { const Zygote last = std::move(zygote); }
  for (const pid_t pid : processes) EXPECT_EQ(kill(pid, 0), -1) << pid;
}

TEST_F(ZygoteTest, a_detached_channel_has_no_executors_and_is_not_written_any_more) {
  const pid_t pid = serve(0);
  Channel other = make_channel(1);
  zygote.attach(id + 1, other.memory());
  zygote.spawn(id + 1, 0);
  ASSERT_TRUE(wait_for_state(other, 0, SlotState::serving));
  zygote.detach(id);
  EXPECT_TRUE(is_gone(pid));
  channel.slot(0).state = SlotState::vacant;
  zygote.spawn(id, 0);
  zygote.detach(id + 2);  // unknown; answered after the spawn
  EXPECT_EQ(channel.slot(0).state, SlotState::vacant);
  EXPECT_EQ(other.slot(0).state, SlotState::serving) << "the other channel's executors stay";
  zygote.attach(id, channel.memory());
  EXPECT_GT(serve(0), 0) << "the number is free again";
}

TEST_F(ZygoteTest, an_executor_has_no_other_channel_mapped) {
  Channel other = make_channel(1);
  zygote.attach(id + 1, other.memory());
  const pid_t pid = serve(0);
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  int channels = 0;
  for (std::string line; std::getline(maps, line);) channels += line.find("memfd:rankpool") != std::string::npos;
  // The test's own mapping was there before the zygote; `other` came later.
  EXPECT_EQ(channels, 2);
}

TEST_F(ZygoteTest, a_refused_channel_is_an_error_with_the_reason) {
  try {
    zygote.attach(id, channel.memory());
    FAIL() << "attached twice";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("already"), std::string::npos) << error.what();
  }
  const auto no_channel = rankpool::host::SharedMemory::create(std::size_t{1} << 20U);
  EXPECT_THROW(zygote.attach(id + 1, no_channel), std::runtime_error);
  EXPECT_GT(serve(0), 0) << "it goes on";
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

TEST_F(ZygoteTest, a_killed_zygote_is_an_error_and_its_executors_die) {
  const pid_t pid = serve(0);
  EXPECT_TRUE(zygote.alive());
  ASSERT_EQ(kill(zygote.pid(), SIGKILL), 0);
  EXPECT_TRUE(goes_soon(pid));
  for (int i = 0; i < 20000 && zygote.alive(); ++i) std::this_thread::sleep_for(1ms);
  EXPECT_FALSE(zygote.alive());
  try {
    zygote.spawn(id, 1);
    FAIL() << "a dead zygote took a request";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("was killed"), std::string::npos) << error.what();
  }
  EXPECT_THROW(zygote.detach(id), std::runtime_error);
}

TEST_F(ZygoteTest, signals_meant_for_the_rank_leave_it_alone) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT}) kill(zygote.pid(), signal);
  EXPECT_GT(serve(0), 0);
  kill(-getpgrp(), SIGCONT);
  EXPECT_NE(getpgid(zygote.pid()), getpgrp());
}

TEST_F(ZygoteTest, executors_do_not_hold_signals_back) {
  const pid_t pid = serve(0);
  ASSERT_GT(pid, 0);
  kill(pid, SIGTERM);
  ASSERT_TRUE(wait_for_state(channel, 0, SlotState::exited));
  EXPECT_EQ(WTERMSIG(channel.slot(0).wait_status), SIGTERM);
}

TEST_F(ZygoteTest, a_fork_of_the_rank_does_not_end_the_zygote) {
  EXPECT_EQ(exit_code_of([this] {
              const Zygote copy = std::move(zygote);
              return 0;
            }),
            0);
  EXPECT_GT(serve(0), 0);
}

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
  Channel channel = make_channel(2);
  pid_t rank = 0;

  void SetUp() override {
    channel.slot(1).member = 1;
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

TEST(Member, a_rank_whose_leader_is_gone_says_so) {
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  ASSERT_EQ(waitpid(dead, nullptr, 0), dead);
  Channel channel = make_channel(1);
  channel.header().leader_pid = dead;
  Zygote zygote = Zygote::fork_now(executor_main);
  zygote.attach(id, channel.memory());
  try {
    serve_as_member(channel, id, 0, zygote);
    FAIL() << "served without a leader";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("leads this node"), std::string::npos) << error.what();
  }
}

}  // namespace
