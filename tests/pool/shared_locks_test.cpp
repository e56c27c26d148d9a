// Locks between tasks on any rank and the master's threads: one holds them at a time, whoever dies.
#include "pool/pool_test.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <numeric>
#include <ranges>
#include <thread>
#include <vector>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using rankpool::Array;
using rankpool::Lock;
using rankpool::RLock;
using rankpool::Semaphore;
using rankpool::Value;

/// Not one step, as the tutorials have it.
void increment(const Value<int>& counter) { counter.set(counter.get() + 1); }

TEST(SharedLock, counts_forty_thousand_in_the_tutorials_way) {
  const Value<int> counter = pool().value(0);
  const Lock lock = pool().lock();
  constexpr int increments = 10'000;
  pool().map(
      [=](int) {
        for (int i = 0; i < increments; ++i) {
          const std::scoped_lock held(lock);
          increment(counter);
        }
      },
      std::views::iota(0, 4), {.chunksize = 1});
  EXPECT_EQ(counter.get(), 4 * increments);
}

TEST(SharedLock, of_a_task_that_dies_goes_on_to_the_next_who_learns_of_it) {
  const Lock lock = pool().lock();
  EXPECT_FALSE(lock.owner_died());
  EXPECT_THROW(pool().map(
                   [lock](int) {
                     lock.lock();
                     raise(SIGKILL);
                   },
                   {1}, {.max_attempts = 1}),
               rankpool::WorkerLost);
  const bool died = pool().apply([lock] {
    const std::scoped_lock held(lock);
    return lock.owner_died();
  });
  EXPECT_TRUE(died);
  lock.lock();
  EXPECT_TRUE(lock.owner_died());
  lock.mark_consistent();
  EXPECT_FALSE(lock.owner_died());
  lock.unlock();
}

TEST(SharedLock, of_a_task_that_is_killed_for_its_time_is_given_back) {
  const Lock lock = pool().lock();
  EXPECT_THROW(pool().map(
                   [lock](int) {
                     lock.lock();
                     sleep_ms(60'000);
                   },
                   {1}, {.task_timeout = 300ms}),
               rankpool::TaskTimeout);
  EXPECT_TRUE(lock.try_lock_for(10s));
  EXPECT_TRUE(lock.owner_died());
  lock.unlock();
}

TEST(SharedLock, that_a_task_leaves_locked_is_given_back) {
  const Lock lock = pool().lock();
  EXPECT_THROW(pool().apply([lock] {
    lock.lock();
    throw std::runtime_error("in between");
  }),
               std::runtime_error);
  EXPECT_TRUE(lock.try_lock_for(10s));
  EXPECT_TRUE(lock.owner_died());
  lock.mark_consistent();
  lock.unlock();
  pool().apply([lock] { lock.lock(); });
  EXPECT_TRUE(lock.try_lock_for(10s));
  EXPECT_TRUE(lock.owner_died());
  lock.unlock();
}

TEST(SharedLock, left_by_one_task_of_a_chunk_is_not_the_next_ones) {
  const Lock lock = pool().lock();
  const auto free = pool().map([lock](int) { return lock.try_lock(); }, std::views::iota(0, 8), {.chunksize = 8});
  EXPECT_EQ(std::ranges::count(free, true), 8);
}

TEST(SharedLock, is_for_who_holds_it_to_unlock) {
  const Lock lock = pool().lock();
  lock.lock();
  EXPECT_FALSE(pool().apply([lock] {
    lock.unlock();
    return lock.try_lock();
  }));
  EXPECT_THROW(pool().apply([lock] { lock.mark_consistent(); }), std::logic_error);
  std::thread([lock] {
    lock.unlock();
    EXPECT_FALSE(lock.try_lock());
  }).join();
  lock.unlock();
  EXPECT_TRUE(pool().apply([lock] { return lock.try_lock(); }));
}

TEST(SharedLock, that_is_not_recursive_is_a_deadlock_for_its_own_holder) {
  const Lock lock = pool().lock();
  const auto lock_twice = [lock] {
    const std::scoped_lock held(lock);
    lock.lock();
  };
  EXPECT_THROW(lock_twice(), rankpool::Deadlock);
  EXPECT_THROW(pool().apply(lock_twice), rankpool::Deadlock);
  EXPECT_TRUE(lock.try_lock());
  EXPECT_FALSE(lock.owner_died());
  lock.unlock();
}

TEST(SharedRLock, is_unlocked_as_often_as_it_was_locked) {
  const RLock lock = pool().rlock();
  const auto is_free = [lock] {
    if (!lock.try_lock()) return false;
    lock.unlock();
    return true;
  };
  {
    const std::scoped_lock outer(lock);
    const std::scoped_lock inner(lock);
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
    EXPECT_FALSE(pool().apply(is_free));
  }
  EXPECT_TRUE(pool().apply(is_free));
}

TEST(SharedLock, waits_for_the_time_given_and_no_longer) {
  const Lock lock = pool().lock();
  lock.lock();
  const auto wait = [lock] {
    const auto begin = std::chrono::steady_clock::now();
    const bool locked = lock.try_lock_for(50ms);
    return std::pair(locked, std::chrono::steady_clock::now() - begin >= 50ms);
  };
  EXPECT_EQ(pool().apply(wait), std::pair(false, true));
  std::thread([&] { EXPECT_EQ(wait(), std::pair(false, true)); }).join();
  EXPECT_FALSE(pool().apply([lock] { return lock.try_lock_until(std::chrono::system_clock::now() + 20ms); }));
  lock.unlock();
  EXPECT_EQ(pool().apply([lock] { return lock.try_lock_for(10s); }), true);
}

TEST(SharedLock, meets_the_standards_locks) {
  const Lock a = pool().lock();
  const Lock b = pool().lock();
  const Value<int> counter = pool().value(0);
  pool().map(
      [=](int i) {
        if (i % 2 == 0) {
          const std::scoped_lock both(a, b);
          increment(counter);
        } else {
          std::unique_lock first(b, std::defer_lock);
          std::unique_lock second(a, std::defer_lock);
          std::lock(first, second);
          increment(counter);
        }
        const std::unique_lock timed(a, 10s);
        if (!timed.owns_lock()) throw std::runtime_error("not free within 10 s");
      },
      std::views::iota(0, 200), {.chunksize = 1});
  EXPECT_EQ(counter.get(), 200);
}

TEST(SharedRLock, is_locked_together_with_others) {
  const RLock recursive = pool().rlock();
  const Lock plain = pool().lock();
  const Value<int> counter = pool().value(0);
  pool().map(
      [=](int i) {
        if (i % 2 == 0) {
          const std::scoped_lock both(recursive, plain);
          increment(counter);
        } else {
          std::unique_lock first(plain, std::defer_lock);
          std::unique_lock second(recursive, std::defer_lock);
          std::lock(first, second);
          const std::scoped_lock again(recursive);
          increment(counter);
        }
        const std::unique_lock timed(recursive, std::chrono::system_clock::now() + 10s);
        if (!timed.owns_lock()) throw std::runtime_error("not free within 10 s");
      },
      std::views::iota(0, 100), {.chunksize = 1});
  EXPECT_EQ(counter.get(), 100);
}

TEST(SharedLock, lets_in_who_came_first_wherever_they_are) {
  const Lock lock = pool().lock();
  const Value<int> came = pool().value(0);
  const rankpool::Queue<int> order = pool().queue<int>();
  const auto come = [=](int number) {
    came.set(number);
    const std::scoped_lock held(lock);
    order.put(number);
  };
  std::vector<rankpool::Future<void>> tasks;
  std::vector<std::jthread> threads;
  lock.lock();
  for (int number = 1; number <= 6; ++number) {
    if (number % 3 == 0) {
      threads.emplace_back(come, number);
    } else {
      tasks.push_back(pool().submit(come, number));
    }
    ASSERT_TRUE(eventually([&] { return came.get() == number; }));
    std::this_thread::sleep_for(30ms);
  }
  lock.unlock();
  for (auto& task : tasks) task.get();
  threads.clear();
  for (int number = 1; number <= 6; ++number) EXPECT_EQ(order.get(), number);
}

TEST(SharedLock, is_shared_by_the_masters_threads_and_tasks) {
  const Lock lock = pool().lock();
  const Value<int> counter = pool().value(0);
  const auto work = [=](int) {
    for (int i = 0; i < 50; ++i) {
      const std::scoped_lock held(lock);
      increment(counter);
    }
  };
  auto tasks = pool().map_async(work, std::views::iota(0, 4), {.chunksize = 1});
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { work(0); });
    work(0);
  }
  tasks.get();
  EXPECT_EQ(counter.get(), 8 * 50);
}

TEST(SharedLock, of_a_thread_of_the_master_that_ends_is_given_back) {
  const Lock lock = pool().lock();
  std::thread([lock] { lock.lock(); }).join();
  EXPECT_TRUE(lock.try_lock_for(10s));
  EXPECT_TRUE(lock.owner_died());
  lock.unlock();
}

TEST(SharedLock, that_is_destroyed_lets_those_go_who_wait) {
  const Lock lock = pool().lock();
  lock.lock();
  auto waits = pool().submit([lock] { lock.lock(); });
  std::jthread other([lock] { EXPECT_THROW(lock.lock(), std::logic_error); });
  std::this_thread::sleep_for(100ms);
  lock.destroy();
  EXPECT_THROW(std::move(waits).get(), std::logic_error);
}

TEST(SharedLock, that_is_destroyed_while_the_pool_rests_lets_a_thread_go_though_its_memory_is_wanted) {
  const Lock lock = pool().lock();
  lock.lock();
  std::jthread other([lock] { EXPECT_THROW(lock.lock(), std::logic_error); });
  std::this_thread::sleep_for(50ms);
  lock.destroy();
  const Lock next = pool().lock();
  next.lock();
  other.join();
  next.unlock();
}

TEST(SharedLock, is_waited_for_on_though_a_callback_would_wait_too) {
  const Lock lock = pool().lock();
  const Lock taken = pool().lock();
  taken.lock();
  std::atomic<bool> refused = false;
  lock.lock();
  std::atomic<bool> locked = false;
  std::jthread waits([&] {
    lock.lock();
    locked = true;
    lock.unlock();
  });
  std::this_thread::sleep_for(20ms);
  auto task = pool().submit([] { return sleep_ms(50); });
  task.then([&](int) {
    try {
      taken.lock();
    } catch (const std::logic_error&) {
      refused = true;
    }
  });
  EXPECT_TRUE(eventually([&] { return refused.load(); }));
  EXPECT_FALSE(locked);
  lock.unlock();
  EXPECT_TRUE(eventually([&] { return locked.load(); }));
  taken.unlock();
}

/// @returns whether a child of this process was refused.
bool refused_in_a_child(const Lock& lock, const Value<int>& value) {
  const pid_t child = fork();
  if (child == 0) {
    int refusals = 0;
    try {
      lock.lock();
    } catch (const std::logic_error&) {
      ++refusals;
    }
    try {
      value.set(1);
    } catch (const std::logic_error&) {
      ++refusals;
    }
    _exit(refusals);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 2;
}

TEST(SharedLock, in_a_child_of_a_task_or_of_the_master_is_an_error) {
  const Lock lock = pool().lock();
  const Value<int> value = pool().value(0);
  EXPECT_TRUE(pool().apply([=] { return refused_in_a_child(lock, value); }));
  EXPECT_TRUE(refused_in_a_child(lock, value));
  EXPECT_EQ(value.get(), 0);
}

TEST(SharedSemaphore, never_lets_more_in_than_it_has_permits) {
  constexpr int permits = 2;
  constexpr int tasks = 4;  // at once, on any number of executors
  const Semaphore semaphore = pool().semaphore(permits);
  const rankpool::Barrier all = pool().barrier(tasks);
  const Value<int> inside = pool().value(0);
  const auto most = pool().map(
      [=](int) {
        all.wait();
        int most_seen = 0;
        for (int round = 0; round < 25; ++round) {
          semaphore.acquire();
          most_seen = std::max(most_seen, inside.fetch_add(1) + 1);
          sleep_ms(1);
          inside.fetch_add(-1);
          semaphore.release();
        }
        return most_seen;
      },
      std::views::iota(0, tasks));
  EXPECT_EQ(std::ranges::max(most), permits);
  EXPECT_EQ(semaphore.permits(), static_cast<std::uint64_t>(permits));
}

TEST(SharedSemaphore, is_released_elsewhere_than_acquired) {
  const Semaphore semaphore = pool().semaphore(0);
  EXPECT_FALSE(semaphore.try_acquire());
  EXPECT_FALSE(semaphore.try_acquire_for(20ms));
  auto waits = pool().submit([semaphore] { semaphore.acquire(); });
  semaphore.release();
  waits.get();
  pool().apply([semaphore] { semaphore.release(3); });
  EXPECT_EQ(semaphore.permits(), 3u);
  EXPECT_TRUE(semaphore.try_acquire());
  EXPECT_THROW(semaphore.release(-1), std::invalid_argument);
  EXPECT_THROW(semaphore.release(~std::uint64_t{0}), std::overflow_error);
}

void lock_in_a_thread(const Lock& lock) {
  std::exception_ptr thrown;
  std::thread([&] {
    try {
      lock.lock();
    } catch (...) {
      thrown = std::current_exception();
    }
  }).join();
  if (thrown) std::rethrow_exception(thrown);
}

TEST(SharedLock, in_a_thread_that_a_task_has_started_is_an_error) {
  const Lock lock = pool().lock();
  EXPECT_THROW(pool().apply([lock] { lock_in_a_thread(lock); }), std::logic_error);
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
