// Locks and semaphores in shared memory: exclusive, first come first served, and given back by the dead.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "shared_world.hpp"

namespace rankpool::shared::test {
namespace {

using namespace std::chrono_literals;

struct LockTest : testing::Test {
  World world;
  Object& object = world.make(Kind::lock);

  void die_holding_it(ParticipantId id) {
    Child child([&] {
      lock(world, object, id);
      raise(SIGKILL);
    });
    child.end(0);
  }
};

TEST_F(LockTest, lets_one_in_at_a_time) {
  constexpr int rounds = 20'000;
  std::uint64_t count = 0;
  std::vector<std::thread> threads;
  for (ParticipantId me = 1; me <= 4; ++me) {
    threads.emplace_back([&, me] {
      for (int i = 0; i < rounds; ++i) {
        ASSERT_TRUE(lock(world, object, me));
        ++count;
        ASSERT_TRUE(unlock(world, object, me));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 4U * rounds);
}

TEST_F(LockTest, lets_in_who_came_first) {
  ASSERT_TRUE(lock(world, object, 1));
  std::vector<ParticipantId> order;
  std::vector<std::thread> threads;
  const std::vector<ParticipantId> comers{66, 3, 65, 2};
  for (const ParticipantId me : comers) {
    threads.emplace_back([&, me] {
      lock(world, object, me);
      order.push_back(me);
      unlock(world, object, me);
    });
    await_waiting(world, object, threads.size());
  }
  unlock(world, object, 1);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(order, comers);
}

TEST_F(LockTest, is_not_taken_by_one_who_comes_while_others_wait) {
  ASSERT_TRUE(lock(world, object, 1));
  Child waiting([&] { lock(world, object, 2); });
  await_waiting(world, object, 1);
  unlock(world, object, 1);
  EXPECT_FALSE(LockSection(*world.space, object, 3).try_acquire(false));
  EXPECT_EQ(LockSection(*world.space, object, 3).owner(), 2U);
}

TEST_F(LockTest, is_waited_for_no_longer_than_one_wants) {
  ASSERT_TRUE(lock(world, object, 1));
  const auto start = Clock::now();
  EXPECT_FALSE(lock(world, object, 2, start + 30ms));
  EXPECT_GE(Clock::now() - start, 30ms);
  EXPECT_FALSE(lock(world, object, 2, start));
  unlock(world, object, 1);
  EXPECT_EQ(LockSection(*world.space, object, 1).owner(), nobody);  // who went away is not let in
  EXPECT_TRUE(lock(world, object, 3));
}

TEST_F(LockTest, tells_who_has_it_already) {
  ASSERT_TRUE(lock(world, object, 1));
  EXPECT_EQ(LockSection(*world.space, object, 1).acquire(false), Acquired::mine_already);
  EXPECT_FALSE(unlock(world, object, 2));
  EXPECT_TRUE(unlock(world, object, 1));
  EXPECT_FALSE(unlock(world, object, 1));
}

TEST_F(LockTest, that_is_recursive_is_released_as_often_as_acquired) {
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(lock(world, object, 1, {}, true));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(unlock(world, object, 1));
  EXPECT_FALSE(LockSection(*world.space, object, 2).try_acquire(true));
  ASSERT_TRUE(unlock(world, object, 1));
  EXPECT_TRUE(LockSection(*world.space, object, 2).try_acquire(true));
}

TEST_F(LockTest, of_the_dead_goes_to_the_next_who_learns_of_it) {
  die_holding_it(1);
  std::thread next([&] { ASSERT_TRUE(lock(world, object, 2)); });
  await_waiting(world, object, 1);
  LockSection(*world.space, object, master).bury(1);
  next.join();
  EXPECT_TRUE(LockSection(*world.space, object, 2).owner_died());
  EXPECT_TRUE(unlock(world, object, 2));
  EXPECT_TRUE(LockSection(*world.space, object, 3).owner_died());
  LockSection(*world.space, object, 3).mark_consistent();
  EXPECT_FALSE(LockSection(*world.space, object, 3).owner_died());
}

TEST_F(LockTest, is_not_given_to_a_dead_one) {
  ASSERT_TRUE(lock(world, object, 1));
  {
    Child waiting([&] { lock(world, object, 2); });
    await_waiting(world, object, 1);
  }
  LockSection(*world.space, object, master).bury(2);
  unlock(world, object, 1);
  EXPECT_EQ(LockSection(*world.space, object, 3).owner(), nobody);
  EXPECT_FALSE(LockSection(*world.space, object, 3).owner_died());
}

TEST_F(LockTest, whose_section_a_dead_one_was_in_works_again) {
  object.latch = 5;
  world.gone[5] = true;
  LockSection(*world.space, object, master).bury(5);
  EXPECT_TRUE(lock(world, object, 1));
}

TEST_F(LockTest, handed_to_a_dead_one_is_not_taken_for_one_it_held) {
  ASSERT_TRUE(lock(world, object, 1));
  {
    Child waiting([&] { lock(world, object, 2); });
    await_waiting(world, object, 1);
  }
  unlock(world, object, 1);
  ASSERT_EQ(LockSection(*world.space, object, 3).owner(), 2U);
  LockSection(*world.space, object, master).bury(2);
  EXPECT_EQ(LockSection(*world.space, object, 3).owner(), nobody);
  EXPECT_FALSE(LockSection(*world.space, object, 3).owner_died());
}

// The dead one's ticket is given out again.
TEST_F(LockTest, whose_section_is_taken_over_forgets_who_had_not_quite_queued_up) {
  ASSERT_TRUE(lock(world, object, 1));
  {
    Child dying([&] {
      Section section(*world.space, object, 2);
      section.enqueue();
      raise(SIGKILL);
    });
    dying.end(0);
  }
  world.gone[2] = true;
  LockSection(*world.space, object, master).bury(3);  // of another's death one hears first
  Child waiting([&] { _exit(lock(world, object, 4) ? 0 : 1); });
  await_waiting(world, object, 1);
  unlock(world, object, 1);
  EXPECT_TRUE(waiting.succeeded());
  EXPECT_EQ(LockSection(*world.space, object, 3).owner(), 4U);
}

// Each increments two numbers under the lock; who finds that the last one died between the two sets that right.
TEST_F(LockTest, survives_kills_at_any_moment) {
  auto& first = world.number();
  auto& second = world.number();
  auto& wrong = world.number();
  const auto work = [&](ParticipantId me) {
    for (;;) {
      lock(world, object, me);
      if (LockSection(*world.space, object, me).owner_died()) {
        second = first.load();
        LockSection(*world.space, object, me).mark_consistent();
      }
      if (first != second) ++wrong;
      first.store(first + 1, std::memory_order_relaxed);
      second.store(second + 1, std::memory_order_relaxed);
      unlock(world, object, me);
    }
  };
  std::vector<std::unique_ptr<Child>> children;
  for (ParticipantId me = 1; me <= 3; ++me) children.push_back(std::make_unique<Child>([&, me] { work(me); }));
  std::mt19937 random(1);
  std::uint64_t seen = 0;
  int progress = 0;
  constexpr int kills = 400;
  for (int i = 0; i < kills; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 1500));
    progress += first != seen ? 1 : 0;
    seen = first;
    const ParticipantId victim = 1 + static_cast<ParticipantId>(random() % 3);
    children[victim - 1]->end();
    world.gone[victim] = true;
    LockSection(*world.space, object, master).bury(victim);
    world.gone[victim] = false;
    children[victim - 1] = std::make_unique<Child>([&, victim] { work(victim); });
  }
  children.clear();
  for (ParticipantId me = 1; me <= 3; ++me) world.gone[me] = true;
  for (ParticipantId me = 1; me <= 3; ++me) LockSection(*world.space, object, master).bury(me);
  EXPECT_TRUE(lock(world, object, 1, Clock::now() + 5s));
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(progress, kills / 4);
}

struct SemaphoreTest : testing::Test {
  World world;
  Object& object = world.make(Kind::semaphore);

  explicit SemaphoreTest(std::uint64_t permits = 2) { SemaphoreSection(*world.space, object, master).set(permits); }

  bool acquire(ParticipantId me, Deadline deadline = {}) {
    if (SemaphoreSection(*world.space, object, me).acquire()) return true;
    return wait(world, object, me, deadline) == Waited::admitted;
  }
  void release(ParticipantId me, std::uint64_t permits = 1) {
    SemaphoreSection(*world.space, object, me).release(permits);
  }
  std::uint64_t permits() { return SemaphoreSection(*world.space, object, master).permits(); }
};

TEST_F(SemaphoreTest, lets_no_more_in_than_it_has_permits) {
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::vector<std::thread> threads;
  for (ParticipantId me = 1; me <= 5; ++me) {
    threads.emplace_back([&, me] {
      for (int i = 0; i < 2000; ++i) {
        ASSERT_TRUE(acquire(me));
        most = std::max(most.load(), ++inside);
        --inside;
        release(me);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, 2);
  EXPECT_EQ(permits(), 2U);
}

TEST_F(SemaphoreTest, gives_permits_to_who_came_first) {
  ASSERT_TRUE(acquire(1));
  ASSERT_TRUE(acquire(1));
  EXPECT_FALSE(acquire(2, Clock::now() + 5ms));
  Child first([&] { acquire(3); });
  await_waiting(world, object, 1);
  Child second([&] { acquire(4); });
  await_waiting(world, object, 2);
  release(1);
  EXPECT_TRUE(first.succeeded());
  release(1, 3);
  EXPECT_TRUE(second.succeeded());
  EXPECT_EQ(permits(), 2U);
}

TEST_F(SemaphoreTest, gets_back_the_permit_that_was_meant_for_a_dead_one) {
  ASSERT_TRUE(acquire(1));
  ASSERT_TRUE(acquire(1));
  {
    Child waiting([&] { acquire(2); });
    await_waiting(world, object, 1);
    waiting.end();
  }
  release(1);  // to the dead one
  EXPECT_EQ(permits(), 0U);
  SemaphoreSection(*world.space, object, master).bury(2);
  EXPECT_EQ(permits(), 1U);
  SemaphoreSection(*world.space, object, master).bury(2);
  EXPECT_EQ(permits(), 1U);
}

}  // namespace
}  // namespace rankpool::shared::test
