// Tasks that wait for each other: whoever is waited for gets an executor, and who waits in vain is told.
#include "pool/pool_test.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <ranges>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using rankpool::Barrier;
using rankpool::Deadlock;
using rankpool::Event;
using rankpool::Lock;
using rankpool::Queue;
using rankpool::Value;

TEST(SharedWaiting, consumers_and_producers_in_one_map_meet_at_any_chunksize) {
  const int pairs = 2 * pool().processes();
  for (const int chunksize : {0, 1, 3, 2 * pairs}) {
    const Queue<int> queue = pool().queue<int>(1);
    // The consumers come first, and often in one chunk with those that they wait for.
    const auto sums = pool().map(
        [=](int i) {
          int sum = 0;
          for (int item = 0; item < 5; ++item) {
            if (i < pairs) {
              sum += *queue.get();
            } else {
              queue.put(1);
            }
          }
          return sum;
        },
        std::views::iota(0, 2 * pairs), {.chunksize = chunksize});
    EXPECT_EQ(std::ranges::count(sums, 5), pairs) << chunksize;
    EXPECT_EQ(std::ranges::count(sums, 0), pairs) << chunksize;
    EXPECT_TRUE(queue.empty());
  }
}

TEST(SharedWaiting, a_barrier_of_more_tasks_than_executors_opens) {
  const int parties = 3 * pool().processes();
  const int executors = pool().processes();
  const Barrier barrier = pool().barrier(parties);
  const Value<int> arrived = pool().value(0);
  const auto seen = pool().map(
      [=](int) {
        arrived.fetch_add(1);
        barrier.wait();
        return arrived.get();
      },
      std::views::iota(0, parties));
  EXPECT_EQ(std::ranges::count(seen, parties), parties);
  EXPECT_EQ(pool().processes(), executors);
  EXPECT_EQ(pool().map(square, std::views::iota(0, 1000)).back(), square(999));
}

// Each node has room for its share of them: what one has too many another runs.
TEST(SharedWaiting, a_barrier_of_as_many_tasks_as_there_can_be_executors_opens_at_any_chunksize) {
  const int parties = 4 * pool().processes();
  for (const int chunksize : {0, 1, 3, parties / 2, parties}) {
    const Barrier barrier = pool().barrier(parties);
    const auto was_last = pool().map([=](int) { return static_cast<int>(barrier.wait()); },
                                     std::views::iota(0, parties), {.chunksize = chunksize});
    EXPECT_EQ(std::ranges::count(was_last, 1), 1) << chunksize;
  }
}

TEST(SharedWaiting, calls_of_one_task_that_wait_each_let_the_one_they_wait_for_begin) {
  const int waiting = 4 * pool().processes() - 1;
  const Event event = pool().event();
  std::vector<rankpool::Future<void>> tasks;
  for (int i = 0; i < waiting; ++i) tasks.push_back(pool().submit([event] { event.wait(); }));
  tasks.push_back(pool().submit([event] { event.set(); }));
  for (auto& task : tasks) std::move(task).get();
}

TEST(SharedWaiting, tasks_behind_one_that_waits_are_run_by_others_each_once) {
  const Event event = pool().event();
  constexpr int tasks = 200;
  const auto runs = pool().array<int>(tasks);
  pool().map(
      [=](int i) {
        runs.fetch_add(static_cast<std::uint64_t>(i), 1);
        if (i == 0) event.wait();
        if (i == tasks - 1) event.set();
      },
      std::views::iota(0, tasks), {.chunksize = tasks});
  EXPECT_EQ(runs.get(), std::vector<int>(tasks, 1));
}

/// Takes the left fork, lets the others take theirs, and takes the right one.
void dine_greedily(const Lock& left, const Lock& right, const Barrier& all) {
  const std::scoped_lock first(left);
  all.wait();
  const std::scoped_lock second(right);
}

std::vector<Lock> forks(int number) {
  std::vector<Lock> all;
  for (int i = 0; i < number; ++i) all.push_back(pool().lock());
  return all;
}

TEST(SharedWaiting, philosophers_with_std_lock_all_eat) {
  const std::vector<Lock> fork = forks(5);
  const Value<int> eaten = pool().value(0);
  std::vector<std::tuple<Lock, Lock>> places;
  for (std::size_t i = 0; i < 5; ++i) places.emplace_back(fork[i], fork[(i + 1) % 5]);
  pool().starmap(
      [eaten](Lock left, Lock right) {
        for (int meal = 0; meal < 20; ++meal) {
          const std::scoped_lock both(left, right);
          eaten.fetch_add(1);
        }
      },
      places);
  EXPECT_EQ(eaten.get(), 100);
}

TEST(SharedWaiting, philosophers_without_it_learn_who_holds_what) {
  const int philosophers = std::min(5, 4 * pool().processes());
  const std::vector<Lock> fork = forks(philosophers);
  const Barrier all = pool().barrier(philosophers);
  std::vector<std::tuple<Lock, Lock, Barrier>> places;
  for (int i = 0; i < philosophers; ++i) {
    places.emplace_back(fork[static_cast<std::size_t>(i)], fork[static_cast<std::size_t>((i + 1) % philosophers)], all);
  }
  const auto outcomes = pool().starmap_outcomes(dine_greedily, places);
  int deadlocks = 0;
  for (const auto& outcome : outcomes) {
    if (outcome.has_value()) continue;
    ++deadlocks;
    const std::string text = text_of_thrown<Deadlock>([&] { std::rethrow_exception(outcome.exception()); });
    EXPECT_TRUE(contains(text, "task ")) << text;
    EXPECT_TRUE(contains(text, " (rank ")) << text;
    EXPECT_TRUE(contains(text, "waits for lock ")) << text;
    EXPECT_TRUE(contains(text, "held by task ")) << text;
  }
  EXPECT_GE(deadlocks, 1);
  // Each gave its fork back, and who was told held no other: that would be one it left.
  for (const Lock& lock : fork) {
    EXPECT_TRUE(lock.try_lock());
    EXPECT_FALSE(lock.owner_died());
  }
}

TEST(SharedWaiting, a_task_and_the_master_that_wait_for_each_other_are_told) {
  const Lock mine = pool().lock();
  const Lock its = pool().lock();
  const Event has_it = pool().event();
  mine.lock();
  auto task = pool().submit([=] {
    const std::scoped_lock held(its);
    has_it.set();
    mine.lock();
  });
  has_it.wait();
  const std::string text = text_of_thrown<Deadlock>([&] { its.lock(); });
  EXPECT_TRUE(contains(text, "this would wait for ever: ")) << text;
  EXPECT_TRUE(contains(text, "a thread of the master waits for lock")) << text;
  EXPECT_THROW(std::move(task).get(), Deadlock);
  EXPECT_TRUE(its.try_lock_for(10s));
}

TEST(SharedWaiting, of_all_for_what_nobody_will_do_is_told_to_each) {
  const Queue<int> queue = pool().queue<int>();
  const auto outcomes =
      pool().map_outcomes([queue](int) { return queue.get().has_value(); }, std::views::iota(0, pool().processes()));
  for (const auto& outcome : outcomes) EXPECT_TRUE(is_a<Deadlock>(outcome.exception()));
  const Event event = pool().event();
  EXPECT_THROW(event.wait(), Deadlock);
  EXPECT_EQ(pool().apply(square, 3), 9);
}

TEST(SharedWaiting, of_more_for_what_nobody_will_do_than_can_begin_is_told_to_all_soon) {
  const int tasks = 40 * 4 * pool().processes();
  const Event event = pool().event();
  const auto begin = std::chrono::steady_clock::now();
  const auto outcomes = pool().map_outcomes([event](int) { event.wait(); }, std::views::iota(0, tasks));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  for (const auto& outcome : outcomes) ASSERT_TRUE(is_a<Deadlock>(outcome.exception()));
  // At least 8 s, were each turn of those that can begin to wait for two looks 0.1 s apart. Between nodes most of the
  // time is that of starting spare executors.
  if (std::getenv("RANKPOOL_TEST_NODES") == nullptr) {
    EXPECT_LT(took.count(), 7.5);
  }
}

TEST(SharedWaiting, of_one_whose_caller_waits_for_a_time_is_told_only_where_it_runs_inline) {
  const bool is_inline = std::getenv("RANKPOOL_INLINE") != nullptr;
  const Event event = pool().event();
  auto task = pool().submit([event] { event.wait(); });
  if (is_inline) {
    EXPECT_THROW(task.get(10s), Deadlock);
    const std::string text = text_of_thrown<Deadlock>([&] {
      pool().map([event](int) { event.wait(); }, {1, 2}, {.timeout = 10s});
    });
    EXPECT_TRUE(contains(text, "one task runs at a time")) << text;
  } else {
    EXPECT_THROW(task.get(300ms), rankpool::TimeoutError);
    event.set();
    task.get();
  }
}

TEST(SharedWaiting, beyond_the_limit_of_executors_is_told_with_the_limit) {
  const int limit = 4 * pool().processes();
  const Barrier barrier = pool().barrier(limit + 1);
  const auto outcomes =
      pool().map_outcomes([barrier](int) { barrier.wait(); }, std::views::iota(0, limit + 2), {.chunksize = 1});
  int told = 0;
  for (const auto& outcome : outcomes) {
    const std::string text = text_of_thrown<Deadlock>([&] { std::rethrow_exception(outcome.exception()); });
    told += contains(text, "2 tasks more can't begin: the pool starts up to 4 executors for each one") ? 1 : 0;
  }
  EXPECT_EQ(told, limit);
}

TEST(SharedWaiting, for_what_the_master_does_later_is_no_deadlock) {
  const Event event = pool().event();
  auto task = pool().submit([event] { event.wait(); });
  std::this_thread::sleep_for(1s);
  EXPECT_FALSE(task.ready());
  event.set();
  task.get();
}

TEST(SharedWaiting, for_what_another_thread_does_later_is_no_deadlock) {
  const Event event = pool().event();
  const std::jthread later([event] {
    std::this_thread::sleep_for(1s);
    event.set();
  });
  pool().apply([event] { event.wait(); });
  event.clear();
  const std::jthread again([event] {
    std::this_thread::sleep_for(1s);
    event.set();
  });
  event.wait();
}

TEST(SharedWaiting, for_the_master_that_makes_short_calls_meanwhile_is_no_deadlock) {
  const Event event = pool().event();
  auto waiting = pool().map_async([event](int) { event.wait(); }, std::views::iota(0, 2));
  for (int call = 0; call < 20; ++call) pool().apply(sleep_ms, 30);
  int seen = 0;
  for (const int ms : pool().imap(sleep_ms, std::vector<int>(20, 30), {.buffersize = 1})) seen += ms;
  EXPECT_EQ(seen, 600);
  event.set();
  waiting.get();
}

TEST(SharedWaiting, in_vain_for_one_object_is_not_for_the_next_in_its_place) {
  for (int i = 0; i < 3; ++i) {
    const Event first = pool().event();
    EXPECT_THROW(first.wait(), Deadlock);
    EXPECT_THROW(pool().apply([first] { first.wait(); }), Deadlock);
    first.destroy();
    const Event second = pool().event();
    auto task = pool().submit([second] { second.wait(); });
    pool().apply([second] {
      sleep_ms(300);
      second.set();
    });
    second.wait();
    task.get();
    second.destroy();
  }
}

TEST(SharedWaiting, in_a_call_of_limited_time_ends_with_the_time) {
  const Event event = pool().event();
  EXPECT_THROW(pool().map([event](int) { event.wait(); }, {1, 2}, {.timeout = 700ms}), rankpool::TimeoutError);
  EXPECT_THROW(pool().map([event](int) { event.wait(); }, {1, 2}, {.task_timeout = 700ms}), rankpool::TaskTimeout);
  event.set();
}

TEST(SharedWaiting, of_some_in_a_ring_is_told_while_others_run) {
  const Lock a = pool().lock();
  const Lock b = pool().lock();
  const Barrier both = pool().barrier(2);
  auto running = pool().map_async(sleep_ms, std::vector<int>(200, 20), {.chunksize = 1});
  const auto outcomes =
      pool().starmap_outcomes(dine_greedily, std::vector<std::tuple<Lock, Lock, Barrier>>{{a, b, both}, {b, a, both}});
  int deadlocks = 0;
  for (const auto& outcome : outcomes) {
    if (outcome.has_value()) continue;
    ++deadlocks;
    const std::string text = text_of_thrown<Deadlock>([&] { std::rethrow_exception(outcome.exception()); });
    EXPECT_FALSE(contains(text, "can't begin")) << text;
  }
  EXPECT_GE(deadlocks, 1);
  EXPECT_EQ(running.get().size(), 200U);
}

TEST(SharedWaiting, for_a_time_is_no_deadlock) {
  const Lock a = pool().lock();
  const Lock b = pool().lock();
  const Barrier both = pool().barrier(2);
  const auto lock_crosswise = [=](int i) {
    const std::scoped_lock held(i == 0 ? a : b);
    both.wait();
    const bool locked = (i == 0 ? b : a).try_lock_for(700ms);
    both.wait();
    return locked;
  };
  EXPECT_EQ(pool().map(lock_crosswise, {0, 1}), (std::vector<bool>{false, false}));
}

TEST(SharedWaiting, executors_that_were_killed_while_they_waited_leave_nothing_behind) {
  const Event event = pool().event();
  const int tasks = 3 * pool().processes();
  auto waiting = pool().map_async([event](int) { event.wait(); }, std::views::iota(0, tasks), {.task_timeout = 300ms});
  EXPECT_THROW(waiting.get(), rankpool::TaskTimeout);
  const Barrier barrier = pool().barrier(tasks);
  pool().map([barrier](int) { barrier.wait(); }, std::views::iota(0, tasks));
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
