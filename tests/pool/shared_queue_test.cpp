// Queues between tasks on any rank and the master's threads: nothing put in is lost or comes twice.
#include "pool/pool_test.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using rankpool::Queue;

TEST(SharedQueue, brings_items_of_any_type_in_their_order) {
  const auto queue = pool().queue<std::map<std::string, std::vector<int>>>();
  EXPECT_TRUE(queue.empty());
  pool().apply([queue] {
    queue.put({{"a", {1, 2}}});
    queue.put({});
    queue.put({{"b", std::vector<int>(1000, 7)}, {"c", {}}});
  });
  EXPECT_EQ(queue.size(), 3u);
  EXPECT_EQ(queue.get()->at("a"), (std::vector{1, 2}));
  EXPECT_TRUE(queue.get()->empty());
  const auto last = pool().apply([queue] { return *queue.get(); });
  EXPECT_EQ(last.at("b").size(), 1000u);
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

TEST(SharedQueue, feeds_tasks_from_the_master_until_it_is_closed) {
  const Queue<int> jobs = pool().queue<int>(10);
  const Queue<int> done = pool().queue<int>();
  auto workers = pool().map_async(
      [=](int) {
        int taken = 0;
        while (const auto job = jobs.get()) {
          done.put(square(*job));
          ++taken;
        }
        return taken;
      },
      std::views::iota(0, pool().processes()), {.chunksize = 1});
  for (int i = 0; i < 500; ++i) jobs.put(i);
  jobs.close();
  int sum = 0;
  for (const int taken : workers.get()) sum += taken;
  EXPECT_EQ(sum, 500);
  std::vector<int> results;
  while (const auto result = done.try_get()) results.push_back(*result);
  std::ranges::sort(results);
  ASSERT_EQ(results.size(), 500u);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], square(i));
}

TEST(SharedQueue, takes_items_far_larger_than_itself) {
  const auto queue = pool().queue<std::vector<double>>();
  const auto size = [queue](std::size_t elements) { queue.put(std::vector<double>(elements, 0.5)); };
  for (const std::size_t elements : {10u, 100'000u, 1u, 3'000'000u}) pool().apply(size, elements);
  EXPECT_EQ(queue.get()->size(), 10u);
  EXPECT_EQ(pool().apply([queue] { return queue.get()->size(); }), 100'000u);
  EXPECT_EQ(queue.get()->size(), 1u);
  EXPECT_EQ(pool().apply([queue] { return queue.get()->back(); }), 0.5);
  size(2'000'000);
  EXPECT_EQ(pool().apply([queue] { return queue.get()->size(); }), 2'000'000u);
}

TEST(SharedQueue, that_is_full_or_empty_lets_try_and_time_fail) {
  const Queue<int> queue = pool().queue<int>(2);
  const auto fill = [queue] {
    if (!queue.try_put(1)) throw std::runtime_error("not full yet");
    queue.put(2, 10s);
    if (queue.try_put(3)) throw std::runtime_error("beyond max");
    queue.put(3, 30ms);
  };
  EXPECT_THROW(pool().apply(fill), rankpool::TimeoutError);
  EXPECT_EQ(queue.size(), 2u);
  EXPECT_THROW(queue.put(3, 30ms), rankpool::TimeoutError);
  EXPECT_EQ(queue.get(10s), 1);
  EXPECT_EQ(queue.get(), 2);
  try {
    (void)queue.get(30ms);
    ADD_FAILURE() << "an item came";
  } catch (const rankpool::TimeoutError& late) {
    EXPECT_STREQ(late.what(), "Queue::get(): no item came within 0.03 s");
  }
  EXPECT_THROW(pool().apply([queue] { return *queue.get(30ms); }), rankpool::TimeoutError);
  EXPECT_EQ(queue.try_get(), std::nullopt);
}

TEST(SharedQueue, that_is_closed_gives_what_is_in_it_and_takes_nothing) {
  const Queue<int> queue = pool().queue<int>();
  auto waits = pool().submit([queue] { return queue.get(); });
  queue.put(1);
  EXPECT_EQ(waits.get(), 1);
  auto waits_in_vain = pool().submit([queue] { return queue.get(); });
  std::this_thread::sleep_for(20ms);
  queue.close();
  EXPECT_EQ(waits_in_vain.get(), std::nullopt);
  EXPECT_THROW(queue.put(2), rankpool::QueueClosed);
  EXPECT_THROW(pool().apply([queue] { queue.put(2); }), rankpool::QueueClosed);
  EXPECT_EQ(queue.get(), std::nullopt);
}

TEST(SharedQueue, that_is_closed_lets_those_go_who_wait_for_room) {
  const Queue<int> queue = pool().queue<int>(1);
  queue.put(1);
  auto task = pool().submit([queue] { queue.put(2); });
  const std::jthread thread([queue] { EXPECT_THROW(queue.put(3), rankpool::QueueClosed); });
  std::this_thread::sleep_for(50ms);
  queue.close();
  EXPECT_THROW(std::move(task).get(), rankpool::QueueClosed);
  EXPECT_EQ(queue.get(10s), 1);
  EXPECT_EQ(queue.get(10s), std::nullopt);
}

TEST(SharedQueue, waits_for_room_as_long_as_asked_and_no_longer) {
  const Queue<int> queue = pool().queue<int>(1);
  queue.put(1);
  auto task = pool().submit([queue] { queue.put(2, 10s); });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(queue.put(3, 30ms), rankpool::TimeoutError);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 30ms);
  EXPECT_EQ(queue.get(), 1);
  task.get();
  EXPECT_EQ(queue.get(), 2);
}

TEST(SharedQueue, that_waits_in_many_threads_of_the_master_serves_each) {
  const Queue<int> queue = pool().queue<int>();
  std::atomic<int> sum = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        while (const auto item = queue.get()) sum += *item;
      });
    }
    pool().map([queue](int i) { queue.put(i); }, std::views::iota(0, 300), {.chunksize = 7});
    queue.close();
  }
  EXPECT_EQ(sum, 300 * 299 / 2);
}

}  // namespace
