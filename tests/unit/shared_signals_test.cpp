// Conditions, events and barriers in shared memory.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "shared_world.hpp"

namespace rankpool::shared::test {
namespace {

using namespace std::chrono_literals;

struct ConditionTest : testing::Test {
  World world;
  Object& mutex = world.make(Kind::lock);
  Object& condition = world.make(Kind::condition);

  bool await(ParticipantId me, Deadline deadline = {}) {
    ConditionSection(*world.space, condition, me).wait();
    unlock(world, mutex, me);
    const Waited waited = wait(world, condition, me, deadline);
    lock(world, mutex, me);
    return waited == Waited::admitted;
  }
  void notify(ParticipantId me, std::uint64_t count = 1) {
    ConditionSection(*world.space, condition, me).notify(count);
  }
};

TEST_F(ConditionTest, passes_a_ball_to_and_fro) {
  constexpr int rounds = 2000;
  int ball = 0;
  const auto play = [&](ParticipantId me, int side) {
    lock(world, mutex, me);
    for (int i = 0; i < rounds; ++i) {
      while (ball % 2 != side) await(me);
      ++ball;
      notify(me);
    }
    unlock(world, mutex, me);
  };
  std::thread other([&] { play(1, 0); });
  play(2, 1);
  other.join();
  EXPECT_EQ(ball, 2 * rounds);
}

TEST_F(ConditionTest, notifies_as_many_as_asked_in_their_order) {
  std::vector<ParticipantId> woken;
  std::vector<std::thread> threads;
  for (ParticipantId me = 1; me <= 4; ++me) {
    threads.emplace_back([&, me] {
      lock(world, mutex, me);
      await(me);
      woken.push_back(me);
      unlock(world, mutex, me);
    });
    await_waiting(world, condition, me);
  }
  lock(world, mutex, 9);
  notify(9, 2);
  await_waiting(world, mutex, 2);
  unlock(world, mutex, 9);
  await_waiting(world, mutex, 0);
  EXPECT_EQ(Section(*world.space, condition, master).count_waiting(), 2U);
  lock(world, mutex, 9);
  ConditionSection(*world.space, condition, 9).notify_all();
  unlock(world, mutex, 9);
  for (std::thread& thread : threads) thread.join();
  std::ranges::sort(woken);
  EXPECT_EQ(woken, (std::vector<ParticipantId>{1, 2, 3, 4}));
}

TEST_F(ConditionTest, forgets_notifications_that_nobody_waits_for) {
  notify(1);
  lock(world, mutex, 2);
  EXPECT_FALSE(await(2, Clock::now() + 10ms));
}

TEST_F(ConditionTest, notifies_the_others_in_place_of_a_dead_one) {
  Child first([&] { await(1); });
  await_waiting(world, condition, 1);
  first.end();
  Child second([&] { _exit(await(2) ? 0 : 1); });
  await_waiting(world, condition, 2);
  notify(3);  // to the dead one
  EXPECT_EQ(Section(*world.space, condition, master).count_waiting(), 1U);
  ConditionSection(*world.space, condition, master).bury(1);
  EXPECT_TRUE(second.succeeded());
}

struct EventTest : testing::Test {
  World world;
  Object& event = world.make(Kind::event);

  bool await(ParticipantId me, Deadline deadline = {}) {
    if (EventSection(*world.space, event, me).wait()) return true;
    return wait(world, event, me, deadline) == Waited::admitted;
  }
};

TEST_F(EventTest, lets_all_in_while_it_is_set) {
  EXPECT_FALSE(await(1, Clock::now() + 5ms));
  std::vector<std::unique_ptr<Child>> children;
  for (ParticipantId me = 1; me <= 3; ++me) {
    children.push_back(std::make_unique<Child>([&, me] { _exit(await(me) ? 0 : 1); }));
  }
  await_waiting(world, event, 3);
  EventSection(*world.space, event, 9).set();
  for (const auto& child : children) EXPECT_TRUE(child->succeeded());
  EXPECT_TRUE(await(4));
  EventSection(*world.space, event, 9).clear();
  EXPECT_FALSE(await(4, Clock::now() + 5ms));
}

struct BarrierTest : testing::Test {
  World world;
  Object& barrier = world.make(Kind::barrier);

  BarrierTest() { BarrierSection(*world.space, barrier, master).set(3); }

  bool arrive(ParticipantId me, Deadline deadline = {}) {
    if (BarrierSection(*world.space, barrier, me).arrive()) return true;
    return wait(world, barrier, me, deadline) == Waited::admitted;
  }
};

TEST_F(BarrierTest, lets_them_go_on_together) {
  constexpr int rounds = 1000;
  std::atomic<int> arrived = 0;
  std::atomic<int> early = 0;
  const auto walk = [&](ParticipantId me) {
    for (int i = 1; i <= rounds; ++i) {
      ++arrived;
      arrive(me);
      if (arrived < 3 * i) ++early;
    }
  };
  std::thread one([&] { walk(1); });
  std::thread two([&] { walk(2); });
  walk(3);
  one.join();
  two.join();
  EXPECT_EQ(early, 0);
}

TEST_F(BarrierTest, does_not_count_the_dead_nor_those_who_went_away) {
  {
    Child dead([&] { arrive(1); });
    await_waiting(world, barrier, 1);
  }
  BarrierSection(*world.space, barrier, master).bury(1);
  EXPECT_FALSE(arrive(2, Clock::now() + 5ms));
  Child one([&] { _exit(arrive(3) ? 0 : 1); });
  Child two([&] { _exit(arrive(4) ? 0 : 1); });
  await_waiting(world, barrier, 2);
  EXPECT_TRUE(arrive(5));
  EXPECT_TRUE(one.succeeded());
  EXPECT_TRUE(two.succeeded());
}

}  // namespace
}  // namespace rankpool::shared::test
