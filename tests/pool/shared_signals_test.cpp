// Conditions, events and barriers between tasks on any rank and the master's threads.
#include "pool/pool_test.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <ranges>
#include <thread>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using rankpool::Barrier;
using rankpool::Condition;
using rankpool::Event;
using rankpool::Lock;
using rankpool::Value;

TEST(SharedCondition, lets_a_task_and_the_master_meet) {
  const Lock lock = pool().lock();
  const Condition changed = pool().condition(lock);
  const Value<int> turn = pool().value(0);
  auto task = pool().submit([=] {
    int turns = 0;
    for (const std::scoped_lock held(lock); turns < 20; ++turns) {
      changed.wait([&] { return turn.get() % 2 == 1; });
      turn.set(turn.get() + 1);
      changed.notify_one();
    }
    return turns;
  });
  {
    const std::unique_lock held(lock);
    for (int i = 0; i < 20; ++i) {
      changed.wait([&] { return turn.get() % 2 == 0; });
      turn.set(turn.get() + 1);
      changed.notify_all();
    }
  }
  EXPECT_EQ(task.get(), 20);
  EXPECT_EQ(turn.get(), 40);
}

TEST(SharedCondition, has_the_lock_again_when_the_time_is_over) {
  const auto lock = pool().rlock();
  const Condition changed = pool().condition(lock);
  const auto wait = [=] {
    const std::scoped_lock outer(lock);
    const std::scoped_lock inner(lock);
    while (changed.wait_for(30ms)) {  // an executor has ended meanwhile
    }
    const bool holds = changed.wait_for(30ms, [] { return false; });
    lock.mark_consistent();  // throws where it isn't held
    return holds;
  };
  EXPECT_FALSE(pool().apply(wait));
  EXPECT_FALSE(wait());
  EXPECT_TRUE(pool().apply([lock] { return lock.try_lock(); }));
}

TEST(SharedCondition, is_to_be_waited_for_with_its_lock) {
  const Lock lock = pool().lock();
  const Condition changed = pool().condition(lock);
  EXPECT_THROW(changed.wait(), std::logic_error);
  EXPECT_THROW(pool().apply([changed] { changed.wait(); }), std::logic_error);
}

TEST(SharedCondition, lets_as_many_go_on_as_it_notifies) {
  const Lock lock = pool().lock();
  const Condition changed = pool().condition(lock);
  const Value<int> waiting = pool().value(0);
  const Value<int> tickets = pool().value(0);
  const Value<int> gone = pool().value(0);
  auto tasks = pool().map_async(
      [=](int) {
        const std::scoped_lock held(lock);
        waiting.fetch_add(1);
        changed.wait([&] { return tickets.get() > 0; });
        tickets.fetch_add(-1);
        gone.fetch_add(1);
      },
      numbers(4), {.chunksize = 1});
  while (waiting.get() < 4) std::this_thread::sleep_for(1ms);
  const auto let_go = [&](int count) {
    const std::scoped_lock held(lock);
    tickets.set(count);
    changed.notify(count);
  };
  let_go(3);
  while (tickets.get() > 0) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(gone.get(), 3);
  let_go(1);
  tasks.get();
  EXPECT_EQ(gone.get(), 4);
}

TEST(SharedEvent, that_the_master_sets_lets_tasks_go_on) {
  const Event event = pool().event();
  EXPECT_FALSE(event.is_set());
  EXPECT_FALSE(pool().apply([event] { return event.wait_for(20ms); }));
  auto task = pool().submit([event] { event.wait(); });
  EXPECT_FALSE(task.wait(50ms));
  event.set();
  task.get();
  EXPECT_TRUE(pool().apply([event] { return event.is_set(); }));
  event.clear();
  EXPECT_FALSE(event.wait_for(1ms));
}

TEST(SharedEvent, that_a_task_sets_lets_the_master_go_on) {
  const Event event = pool().event();
  auto task = pool().submit([event] {
    sleep_ms(30);
    event.set();
  });
  event.wait();
  task.get();
}

TEST(SharedBarrier, waits_for_all_executors_again_and_again) {
  const int executors = pool().processes();
  const Barrier barrier = pool().barrier(executors);
  const Value<int> arrived = pool().value(0);
  const auto last = pool().map(
      [=](int) {
        int serial = 0;
        for (int round = 1; round <= 5; ++round) {
          arrived.fetch_add(1);
          serial += barrier.wait() ? 1 : 0;
          if (arrived.get() < round * executors) throw std::runtime_error("went on before all had come");
          barrier.wait();
        }
        return serial;
      },
      std::views::iota(0, executors), {.chunksize = 1});
  int serial = 0;
  for (const int rounds : last) serial += rounds;
  EXPECT_EQ(serial, 5);
}

TEST(SharedBarrier, is_left_by_one_whose_time_is_over) {
  const Barrier barrier = pool().barrier(2);
  EXPECT_FALSE(pool().apply([barrier] { return barrier.wait_for(20ms); }));
  auto task = pool().submit([barrier] { return barrier.wait(); });
  const bool last = barrier.wait();
  EXPECT_NE(task.get(), last);
  EXPECT_THROW((void)pool().barrier(0), std::invalid_argument);
}

}  // namespace
