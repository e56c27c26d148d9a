// Which process is meant, and whether it lives.
#include "support/process_watch.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "sleeper.hpp"

namespace rankpool::support {
namespace {

using test::Sleeper;
using namespace std::chrono_literals;

/// This process may open no further file as long as it lives: no descriptors of processes are to be had.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit none{0, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

ProcessWatch watch_by_number(const ProcessIdentity& process) {
  const NoDescriptors none;
  return ProcessWatch(process);
}

/// One with the process's number that is not the process.
ProcessIdentity predecessor_of(const Sleeper& sleeper) {
  ProcessIdentity identity = ProcessIdentity::of(sleeper.pid());
  --identity.start;
  return identity;
}

TEST(ProcessIdentity, is_the_same_for_all_who_ask) {
  const Sleeper sleeper;
  EXPECT_NE(ProcessIdentity::of(sleeper.pid()).start, ProcessIdentity::unknown_start);
  EXPECT_EQ(ProcessIdentity::of(sleeper.pid()), ProcessIdentity::of(sleeper.pid()));
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto mine = ProcessIdentity::of_this_process();
    static_cast<void>(!write(ends[1], &mine, sizeof(mine)));
    pause();
  }
  ProcessIdentity told;
  ASSERT_EQ(read(ends[0], &told, sizeof(told)), static_cast<ssize_t>(sizeof(told)));
  EXPECT_EQ(told, ProcessIdentity::of(child));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  for (const int end : ends) close(end);
}

TEST(ProcessIdentity, is_read_past_any_name) {
  const Sleeper sleeper([] { prctl(PR_SET_NAME, ") Z 1 2 3 (("); });
  EXPECT_FALSE(ProcessIdentity::of(sleeper.pid()).has_ended());
  EXPECT_FALSE(ProcessWatch(sleeper.pid()).has_ended());
}

TEST(ProcessIdentity, has_ended_when_another_has_the_number) {
  const Sleeper sleeper;
  EXPECT_FALSE(ProcessIdentity::of(sleeper.pid()).has_ended());
  EXPECT_TRUE(predecessor_of(sleeper).has_ended());
}

TEST(ProcessIdentity, has_not_ended_with_its_first_thread) {
  const Sleeper sleeper([] {
    std::thread([] { pause(); }).detach();
    close_range(STDERR_FILENO + 1, ~0U, 0);  // nobody is to wait for it
    syscall(SYS_exit, 0);                    // of this thread
  });
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  const std::string stat = "/proc/" + std::to_string(sleeper.pid()) + "/stat";
  for (std::string text; text.find(") Z") == std::string::npos;) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::getline(std::ifstream(stat), text);
  }
  EXPECT_FALSE(ProcessIdentity::of(sleeper.pid()).has_ended());
  EXPECT_FALSE(watch_by_number(ProcessIdentity::of(sleeper.pid())).has_ended());
}

TEST(ProcessWatch, sees_a_process_end_that_nobody_has_reaped) {
  const Sleeper sleeper;
  const ProcessWatch watch(sleeper.pid());
  EXPECT_FALSE(watch.has_ended());
  sleeper.kill();
  EXPECT_TRUE(watch.has_ended());
}

TEST(ProcessWatch, of_a_process_that_is_gone_sees_that) {
  pid_t gone = 0;
  {
    const Sleeper sleeper;
    gone = sleeper.pid();
  }
  EXPECT_TRUE(ProcessWatch(gone).has_ended());
}

TEST(ProcessWatch, kills) {
  const Sleeper sleeper;
  const ProcessWatch watch(sleeper.pid());
  watch.kill();
  siginfo_t end{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(sleeper.pid()), &end, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(end.si_status, SIGKILL);
  EXPECT_TRUE(watch.has_ended());
}

TEST(ProcessWatch, by_number_sees_a_process_end_that_nobody_has_reaped) {
  for (const bool knows_start : {true, false}) {
    const Sleeper sleeper;
    const auto start = knows_start ? ProcessIdentity::of(sleeper.pid()).start : ProcessIdentity::unknown_start;
    const ProcessWatch watch = watch_by_number({sleeper.pid(), start});
    EXPECT_FALSE(watch.has_ended());
    EXPECT_FALSE(watch.await_end(10ms));
    sleeper.kill();
    EXPECT_TRUE(watch.has_ended());
    EXPECT_TRUE(watch.await_end(10s));
  }
}

TEST(ProcessWatch, by_number_kills) {
  const Sleeper sleeper;
  const ProcessWatch watch = watch_by_number(ProcessIdentity::of(sleeper.pid()));
  watch.kill();
  EXPECT_TRUE(watch.await_end(10s));
}

TEST(ProcessWatch, neither_awaits_nor_kills_another_process_of_the_number) {
  const Sleeper sleeper;
  const ProcessWatch watch(predecessor_of(sleeper));
  EXPECT_TRUE(watch.has_ended());
  EXPECT_EQ(watch.pid(), sleeper.pid());
  watch.kill();
  const ProcessWatch by_number = watch_by_number(predecessor_of(sleeper));
  EXPECT_TRUE(by_number.has_ended());
  by_number.kill();
  std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(sleeper.lives());
}

TEST(ProcessWatch, of_a_process_that_was_gone_keeps_away_from_the_next_of_its_number) {
  Sleeper first;
  const pid_t number = first.pid();
  first.reap();
  const ProcessWatch watch(number);
  const Sleeper next(number);
  if (!next.exists()) GTEST_SKIP() << "needs root, to choose a process's number";
  EXPECT_TRUE(watch.has_ended());
  watch.kill();
  std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(next.lives());
}

}  // namespace
}  // namespace rankpool::support
