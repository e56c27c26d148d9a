// Who gets at the pool while somebody drives it, and what may be asked in a callback.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "pool/pool_test.hpp"

namespace {

using namespace std::chrono_literals;
using rankpool::Future;
using rankpool::test::numbers;
using rankpool::test::pool;
using rankpool::test::square;

/// Runs `ask` again and again in another thread during a map of many tasks that report one by one.
/// @returns how often.
template <class Ask>
int asked_during_a_map(const Ask& ask) {
  std::atomic<bool> over = false;
  std::atomic<int> asked = 0;
  std::jthread other([&] {
    while (!over) {
      ask();
      ++asked;
    }
  });
  const std::vector<int> inputs = numbers(200'000);
  const std::vector<int> results = pool().map(square, inputs, {.chunksize = 1});
  const int during = asked;
  over = true;
  EXPECT_EQ(results[40'000], square(40'000));
  return during;
}

TEST(Driving, answers_another_thread_while_reports_come_in_without_a_pause) {
  EXPECT_GT(asked_during_a_map([] { EXPECT_EQ(pool().state(), rankpool::PoolState::running); }), 50);
}

TEST(Driving, runs_another_threads_tasks_while_reports_come_in_without_a_pause) {
  EXPECT_GT(asked_during_a_map([] { EXPECT_EQ(pool().apply(square, 3), 9); }), 3);
}

TEST(Driving, gives_each_of_ten_threads_its_own_results) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([i] {
      for (int j = 0; j < 100; ++j) ASSERT_EQ(pool().apply(square, 100 * i + j), square(100 * i + j));
    });
  }
}

/// @returns whether a blocking call was refused.
template <class Call>
bool is_refused(const Call& call) {
  try {
    call();
  } catch (const std::logic_error&) {
    return true;
  }
  return false;
}

TEST(Callback, may_not_block_whether_its_future_was_ready_before_or_not) {
  const Future<int> later = pool().submit(square, 4);
  for (const bool ready_before : {false, true}) {
    bool refused = false;
    bool given = false;
    const Future<int> future = pool().submit(square, 3);
    if (ready_before) future.wait();
    future.then([&](int result) {
      refused = is_refused([] { pool().apply(square, 2); });
      given = result == 9 && future.get() == 9;
    });
    future.wait();
    EXPECT_TRUE(refused) << ready_before;
    EXPECT_TRUE(given) << ready_before;
  }
  EXPECT_EQ(later.get(), 16);
}

TEST(Callback, may_walk_over_the_futures_that_are_ready_its_own_among_them) {
  const Future<int> before = pool().submit(square, 2);
  before.wait();
  const Future<int> future = pool().submit(square, 3);
  int sum = 0;
  future.then([&](int) {
    for (const Future<int>& ready : rankpool::as_completed({before, future})) sum += ready.get();
  });
  future.wait();
  EXPECT_EQ(sum, 4 + 9);
}

TEST(Callback, may_not_block_in_a_callback_that_it_adds_to_a_ready_future) {
  bool refused = false;
  const Future<int> ready = pool().submit(square, 2);
  ready.wait();
  const Future<int> future = pool().submit(square, 3);
  future.then([&](int) { ready.then([&](int) { refused = is_refused([] { pool().apply(square, 2); }); }); });
  future.wait();
  EXPECT_TRUE(refused);
  EXPECT_EQ(pool().apply(square, 5), 25);
}

}  // namespace

int main(int argc, char** argv) { return rankpool::test::run_cases(argc, argv); }
