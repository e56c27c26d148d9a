// What a node's leader sees of the other ranks of its node; here they are children that sleep.
#include "host/node_ranks.hpp"

#include <chrono>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "sleeper.hpp"

namespace rankpool::host {
namespace {

using namespace std::chrono_literals;
using test::Sleeper;
using Members = std::vector<std::uint32_t>;

support::ProcessIdentity of(const Sleeper& sleeper) { return support::ProcessIdentity::of(sleeper.pid()); }

struct NodeRanksTest : testing::Test {
  Sleeper first;
  Sleeper second;
  Sleeper first_zygote;
  Sleeper second_zygote;
  NodeRanks ranks;

  void SetUp() override {
    ranks.watch({{.rank = 4, .process = of(first), .zygote = of(first_zygote)},
                 {.rank = 7, .process = of(second), .zygote = of(second_zygote)}});
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

TEST_F(NodeRanksTest, do_not_take_another_process_for_their_zygote) {
  const pid_t number = first_zygote.pid();
  std::this_thread::sleep_for(30ms);  // the clock of start times has ticks of 10 ms
  first_zygote.reap();
  const Sleeper stranger(number);
  if (!stranger.exists()) GTEST_SKIP() << "needs root, to choose a process's number";
  first.kill();
  const auto now = NodeRanks::Clock::now();
  EXPECT_EQ(ranks.look(now), Members{1});
  EXPECT_EQ(ranks.look(now + 10s), Members());
  std::this_thread::sleep_for(50ms);
  EXPECT_TRUE(stranger.lives());
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
