// What a node's leader sees of the other ranks of its node; here they are children that sleep.
#include "host/node_ranks.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "support/process_watch.hpp"

namespace rankpool::host {
namespace {

using namespace std::chrono_literals;
using Members = std::vector<std::uint32_t>;

/// A process that does nothing until it is killed.
class Sleeper {
 public:
  Sleeper() : pid_(fork()) {
    if (pid_ == 0) {
      alarm(60);
      for (;;) pause();
    }
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  ~Sleeper() {
    kill();
    waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Returns when it is dead, but not reaped.
  void kill() const {
    ::kill(pid_, SIGKILL);
    siginfo_t end{};
    waitid(P_PID, static_cast<id_t>(pid_), &end, WEXITED | WNOWAIT);
  }

 private:
  pid_t pid_;
};

TEST(ProcessWatch, sees_a_process_end_that_nobody_has_reaped) {
  const Sleeper sleeper;
  const support::ProcessWatch watch(sleeper.pid());
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
  EXPECT_TRUE(support::ProcessWatch(gone).has_ended());
}

TEST(ProcessWatch, kills) {
  const Sleeper sleeper;
  const support::ProcessWatch watch(sleeper.pid());
  watch.kill();
  siginfo_t end{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(sleeper.pid()), &end, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(end.si_status, SIGKILL);
  EXPECT_TRUE(watch.has_ended());
}

struct NodeRanksTest : testing::Test {
  Sleeper first;
  Sleeper second;
  Sleeper first_zygote;
  Sleeper second_zygote;
  NodeRanks ranks;

  void SetUp() override {
    ranks.watch({{.rank = 4, .pid = first.pid(), .zygote = first_zygote.pid()},
                 {.rank = 7, .pid = second.pid(), .zygote = second_zygote.pid()}});
  }
};

TEST_F(NodeRanksTest, that_live_are_not_lost) {
  EXPECT_EQ(ranks.look(), Members());
  EXPECT_FALSE(ranks.is_lost(1));
  EXPECT_EQ(ranks.rank(2).rank, 7);
}

TEST_F(NodeRanksTest, are_lost_once_their_zygote_has_gone_too) {
  second.kill();
  EXPECT_EQ(ranks.look(), Members());
  EXPECT_FALSE(ranks.is_lost(2));
  second_zygote.kill();
  EXPECT_EQ(ranks.look(), Members{2});
  EXPECT_TRUE(ranks.is_lost(2));
  EXPECT_FALSE(ranks.is_lost(1));
  EXPECT_EQ(ranks.look(), Members()) << "told once";
}

TEST_F(NodeRanksTest, are_not_lost_when_only_their_zygote_dies) {
  first_zygote.kill();
  EXPECT_EQ(ranks.look(), Members());
  EXPECT_FALSE(ranks.is_lost(1));
}

TEST_F(NodeRanksTest, have_a_zygote_that_stays_killed) {
  first.kill();
  const auto now = NodeRanks::Clock::now();
  EXPECT_EQ(ranks.look(now), Members());
  EXPECT_EQ(ranks.look(now + 1s), Members());
  EXPECT_EQ(ranks.look(now + 10s), Members());  // kills it
  for (int i = 0; i < 500 && !ranks.is_lost(1); ++i) {
    static_cast<void>(ranks.look(now + 10s));
    std::this_thread::sleep_for(10ms);
  }
  EXPECT_TRUE(ranks.is_lost(1));
}

TEST_F(NodeRanksTest, do_not_hold_the_leader_itself) {
  first.kill();
  first_zygote.kill();
  EXPECT_EQ(ranks.look(), Members{1});
  EXPECT_FALSE(ranks.is_lost(0));
  EXPECT_FALSE(ranks.is_lost(3));
}

}  // namespace
}  // namespace rankpool::host
