// The end of shared objects, of their holders and of their pool: who uses what is gone is told so, and what the dead
// held goes on.
#include "pool/pool_test.hpp"

#include <csignal>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <numeric>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using rankpool::Array;
using rankpool::Lock;
using rankpool::RLock;
using rankpool::Value;

static_assert(noexcept(Lock().unlock()) && noexcept(RLock().unlock()));

/// One of each kind.
struct Objects {
  Value<int> value;
  Array<int> array;
  rankpool::Queue<int> queue;
  Lock lock;
  RLock rlock;
  rankpool::Semaphore semaphore;
  rankpool::Event event;
  rankpool::Barrier barrier;
  rankpool::Condition condition;

  static Objects make() {
    const Lock lock = pool().lock();
    return {pool().value(1), pool().array<int>(3), pool().queue<int>(),   lock, pool().rlock(), pool().semaphore(0),
            pool().event(),  pool().barrier(2),    pool().condition(lock)};
  }
  void destroy() const {
    value.destroy();
    array.destroy();
    queue.destroy();
    lock.destroy();
    rlock.destroy();
    semaphore.destroy();
    event.destroy();
    barrier.destroy();
    condition.destroy();
  }
};

constexpr int ways_to_use = 10;

void use(const Objects& all, int way) {
  const std::function<void()> uses[ways_to_use] = {
      [&] { all.value.set(2); },          [&] { all.array.fetch_add(0, 1); }, [&] { all.queue.put(1); },
      [&] { (void)all.queue.try_get(); }, [&] { all.lock.lock(); },           [&] { (void)all.rlock.try_lock(); },
      [&] { all.semaphore.release(); },   [&] { all.event.set(); },           [&] { all.barrier.wait(); },
      [&] { all.condition.notify_all(); }};
  uses[way]();
  all.lock.unlock();
  all.rlock.unlock();
}

std::string refusal(const Objects& all, int way) {
  return text_of_thrown<std::logic_error>([&] { use(all, way); });
}

/// In the master and in a task.
void expect_refusals(const Objects& all, const std::string& why) {
  const auto in_tasks = pool().map([all](int way) { return refusal(all, way); }, std::views::iota(0, ways_to_use));
  for (int way = 0; way < ways_to_use; ++way) {
    EXPECT_TRUE(contains(refusal(all, way), why)) << way << ": " << refusal(all, way);
    EXPECT_TRUE(contains(in_tasks[static_cast<std::size_t>(way)], why)) << way;
  }
  all.lock.unlock();
  all.rlock.unlock();
}

Objects of_an_ended_pool;

TEST(SharedEnd, comes_for_these_with_their_pool) { of_an_ended_pool = Objects::make(); }

TEST(SharedEnd, of_the_pool_makes_its_handles_errors_that_say_so) {
  expect_refusals(of_an_ended_pool, "the object's pool is not here");
}

TEST(SharedEnd, of_an_object_makes_its_handle_an_error_that_says_so_also_when_others_have_its_memory) {
  const Objects before = Objects::make();
  before.destroy();
  expect_refusals(before, "is gone");
  pool().apply(square, 1);
  const Objects after = Objects::make();
  expect_refusals(before, "is gone");
  EXPECT_EQ(after.value.get(), 1);
  EXPECT_EQ(after.array.get(), std::vector<int>(3));
  EXPECT_TRUE(after.queue.empty());
  EXPECT_FALSE(after.event.is_set());
  EXPECT_EQ(after.semaphore.permits(), 0U);
  EXPECT_TRUE(after.lock.try_lock());
  after.lock.unlock();
}

constexpr int ways_to_wait = 6;

void wait(const Objects& all, int way) {
  const std::function<void()> waits[ways_to_wait] = {[&] { all.lock.lock(); },       [&] { all.rlock.lock(); },
                                                     [&] { (void)all.queue.get(); }, [&] { all.semaphore.acquire(); },
                                                     [&] { all.event.wait(); },      [&] { all.barrier.wait(); }};
  waits[way]();
}

TEST(SharedEnd, of_an_object_lets_those_go_who_wait_for_it) {
  for (int way = 0; way < ways_to_wait; ++way) {
    const Objects all = Objects::make();
    all.lock.lock();
    all.rlock.lock();
    auto task = pool().submit([=] { wait(all, way); });
    const std::jthread thread([&] { EXPECT_THROW(wait(all, way % 4), std::logic_error) << way % 4; });
    std::this_thread::sleep_for(60ms);
    all.destroy();
    EXPECT_TRUE(contains(text_of_thrown<std::logic_error>([&] { std::move(task).get(); }), "is gone")) << way;
  }
}

TEST(SharedEnd, of_a_condition_or_its_lock_lets_those_go_who_wait) {
  for (const bool is_locks : {false, true}) {
    const Lock lock = pool().lock();
    const auto condition = pool().condition(lock);
    auto task = pool().submit([=] {
      const std::scoped_lock held(lock);
      condition.wait();
    });
    std::this_thread::sleep_for(60ms);
    if (is_locks) lock.destroy();
    condition.destroy();
    EXPECT_THROW(std::move(task).get(), std::logic_error);
  }
}

// Each task dies by its own hand with the lock: before it counts, before it says so, and after both.
TEST(SharedEnd, of_tasks_that_hold_the_lock_leaves_the_count_at_what_they_acknowledged) {
  constexpr int increments = 1000;
  constexpr int tasks = 4;
  const Value<int> counter = pool().value(0);
  const Value<int> deaths_seen = pool().value(0);
  const Value<int> faults = pool().value(0);
  const Array<int> acknowledged = pool().array<int>(tasks);
  const Array<int> died_at = pool().array<int>(tasks, -1);
  const Lock lock = pool().lock();
  const auto count = [=](std::uint64_t i) {
    const auto die_at = [&](int step, int moment) {
      if (step % 200 != 100 || (step / 200) % 3 != moment || died_at.get(i) == step) return;
      died_at.set(i, step);
      raise(SIGKILL);
    };
    for (int step = acknowledged.get(i); step < increments; ++step) {
      const std::scoped_lock held(lock);
      if (lock.owner_died()) {
        deaths_seen.fetch_add(1);
        const std::vector<int> all = acknowledged.get();
        const int sum = std::accumulate(all.begin(), all.end(), 0);
        const int unsaid = counter.get() - sum;
        if (unsaid < 0 || unsaid > 1) faults.fetch_add(1);
        counter.set(sum);
        lock.mark_consistent();
      }
      die_at(step, 0);
      counter.set(counter.get() + 1);
      die_at(step, 1);
      acknowledged.set(i, step + 1);
      die_at(step, 2);
    }
  };
  pool().map(count, std::views::iota(std::uint64_t{0}, std::uint64_t{tasks}), {.chunksize = 1, .max_attempts = 10});
  EXPECT_EQ(counter.get(), tasks * increments);
  EXPECT_EQ(acknowledged.get(), std::vector<int>(tasks, increments));
  EXPECT_EQ(deaths_seen.get(), tasks * increments / 200);
  EXPECT_EQ(faults.get(), 0);
  EXPECT_TRUE(lock.try_lock());
  EXPECT_FALSE(lock.owner_died());
  lock.unlock();
}

// What a consumer had taken may go with it; all else comes once, and in each producer's order.
TEST(SharedEnd, of_a_queues_consumers_takes_no_more_than_what_they_had_in_hand) {
  constexpr int producers = 2;
  constexpr int items = 400;
  constexpr int kills = 6;
  const auto queue = pool().queue<int>(10);
  const Array<int> last = pool().array<int>(producers, -1);
  const Array<int> received = pool().array<int>(producers);
  const Value<int> faults = pool().value(0);
  const Value<int> consumed = pool().value(0);
  const Value<int> killed = pool().value(0);
  const auto consume = [=](int) {
    while (const auto item = queue.get()) {
      if (consumed.fetch_add(1) % 50 == 49 && killed.fetch_add(1) < kills) raise(SIGKILL);
      const auto producer = static_cast<std::uint64_t>(*item / items);
      if (last.get(producer) >= *item) faults.fetch_add(1);
      last.set(producer, *item);
      received.fetch_add(producer, 1);
    }
  };
  auto consumer = pool().map_async(consume, {0}, {.max_attempts = kills + 1});
  {
    std::vector<std::jthread> threads;
    for (int producer = 0; producer < producers; ++producer) {
      threads.emplace_back([=] {
        for (int i = 0; i < items; ++i) queue.put(producer * items + i);
      });
    }
  }
  queue.close();
  consumer.get();
  const std::vector<int> came = received.get();
  EXPECT_EQ(std::accumulate(came.begin(), came.end(), 0), producers * items - kills);
  EXPECT_EQ(faults.get(), 0);
}

TEST(SharedEnd, of_a_task_that_has_locked_twice_gives_both_back) {
  const RLock lock = pool().rlock();
  EXPECT_THROW(pool().map(
                   [lock](int) {
                     lock.lock();
                     lock.lock();
                     raise(SIGKILL);
                   },
                   {1}, {.max_attempts = 1}),
               rankpool::WorkerLost);
  const auto find_out = [lock] {
    const std::scoped_lock held(lock);
    const bool died = lock.owner_died();
    lock.mark_consistent();
    return died;
  };
  EXPECT_TRUE(pool().apply(find_out));
  EXPECT_FALSE(find_out());
}

// Each is in the object whenever the other looks, which is no reason to take the executor for one that is stuck there.
TEST(SharedEnd, does_not_come_to_an_executor_that_uses_an_object_as_often_as_the_master) {
  constexpr auto time = 1500ms;
  const auto value = pool().value(std::array<long, 4>{});
  const auto queue = pool().queue<int>(10);
  const Lock lock = pool().lock();
  const auto add = [](std::array<long, 4> all) {
    ++all[0];
    return all;
  };
  const auto use = [=] {
    long times = 0;
    for (const auto end = std::chrono::steady_clock::now() + time; std::chrono::steady_clock::now() < end; ++times) {
      value.update(add);
      static_cast<void>(queue.size());
      const std::scoped_lock held(lock);
    }
    return times;
  };
  auto task = pool().map_async([use](int) { return use(); }, {0}, {.max_attempts = 1});
  const long here = use();
  EXPECT_EQ(value.get()[0], here + task.get().at(0));
}

TEST(SharedEnd, of_the_task_that_left_a_lock_is_early_enough_to_give_it_back) {
  const Lock lock = pool().lock();
  const Value<bool> is_held = pool().value(false);
  const Value<bool> goes_on = pool().value(false);
  const auto leave_locked = [=](int i) {
    if (i == 0) {
      lock.lock();
      is_held.set(true);
    } else {
      while (!goes_on.get()) std::this_thread::sleep_for(1ms);
    }
  };
  auto tasks = pool().map_async(leave_locked, numbers(2), {.chunksize = 2});
  while (!is_held.get()) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(lock.try_lock_for(20s));
  EXPECT_TRUE(lock.owner_died());
  lock.unlock();
  goes_on.set(true);
  tasks.get();
}

TEST(SharedEnd, of_a_pool_by_force_lets_its_threads_go_and_leaves_them_no_lock) {
  const Objects all = Objects::make();
  all.lock.lock();
  all.rlock.lock();
  auto task = pool().submit([all] { all.event.wait(); });
  {
    std::vector<std::jthread> threads;
    for (int way = 0; way < ways_to_wait; ++way) {
      threads.emplace_back([&all, way] {
        EXPECT_THROW(wait(all, way), rankpool::PoolClosed) << way;
        if (way == 0) {
          EXPECT_THROW(all.lock.mark_consistent(), std::logic_error);
        }
      });
    }
    std::this_thread::sleep_for(100ms);
    pool().terminate();
  }
  EXPECT_ANY_THROW(std::move(task).get());
}

TEST(SharedEnd, of_a_pool_in_peace_lets_its_threads_go) {
  const Objects all = Objects::make();
  EXPECT_TRUE(pool().apply([all] { return all.lock.try_lock(); }));
  std::vector<std::jthread> threads;
  for (const bool alone : {false, true}) {
    threads.emplace_back(
        [&all, alone] { EXPECT_THROW(alone ? all.event.wait() : all.semaphore.acquire(), rankpool::PoolClosed); });
  }
  std::this_thread::sleep_for(100ms);
  pool().close();
  pool().join();
}

}  // namespace

// The first and the last cases have pools of their own, which end with them.
int main(int argc, char** argv) {
  const std::string first = "SharedEnd.comes_for_these_with_their_pool";
  const std::string force = "SharedEnd.of_a_pool_by_force_lets_its_threads_go_and_leaves_them_no_lock";
  const std::string peace = "SharedEnd.of_a_pool_in_peace_lets_its_threads_go";
  for (const std::string& cases : {first, "-" + first + ":" + force + ":" + peace, force, peace}) {
    if (const int status = run_cases(argc, argv, cases); status != 0) return status;
  }
  return 0;
}
