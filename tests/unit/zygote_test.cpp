// The zygote and its executors: spawned, killed, reported, for one channel and for several.
#include "host/zygote.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "host/channel.hpp"
#include "zygote_helpers.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::host::test;  // NOLINT(google-build-using-namespace)
using rankpool::host::Channel;
using rankpool::host::SlotState;
using rankpool::host::Zygote;

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

TEST_F(ZygoteTest, an_executor_cannot_write_to_the_roll) {
  const pid_t pid = serve(1);
  EXPECT_EQ(channel.roll(1).process(), rankpool::support::ProcessIdentity::of(pid));
  EXPECT_EQ(WTERMSIG(status_of(0, write_to_roll)), SIGSEGV);
  EXPECT_EQ(channel.roll(0).process().pid, 0) << "struck off at its end";
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
  std::set<std::string> files;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:rankpool") == std::string::npos) continue;
    std::istringstream fields(line);
    std::string inode;
    for (int field = 0; field < 5; ++field) fields >> inode;
    files.insert(inode);
  }
  EXPECT_EQ(files.size(), 1U);
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

}  // namespace
