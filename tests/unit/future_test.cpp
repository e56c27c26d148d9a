// Futures: handles on a call, its result, and what has become of it.
#include <atomic>
#include <chrono>
#include <exception>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "manual_calls.hpp"
#include "serial_runner.hpp"
#include "tasks.hpp"

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Future;
using rankpool::Pool;

// --- handles --------------------------------------------------------------------------------------------------------

TEST(Future, without_a_call_refers_to_nothing_and_says_so) {
  const Future<int> none;
  EXPECT_FALSE(none.valid());
  for (const std::string& text :
       {error_of([&] { (void)none.get(); }), error_of([&] { (void)none.get(1s); }), error_of([&] { none.wait(); }),
        error_of([&] { (void)none.wait(1s); }), error_of([&] { (void)none.ready(); }),
        error_of([&] { (void)none.successful(); }), error_of([&] { (void)none.exception(); }),
        error_of([&] { (void)none.cancel(); }), error_of([&] { (void)none.cancelled(); }),
        error_of([&] { (void)none.running(); }), error_of([&] { none.then([](int) {}); }),
        error_of([&] { (void)Future<int>().get(); })}) {
    EXPECT_NE(text.find("refers to no call"), std::string::npos) << text;
  }
  EXPECT_THROW((void)none.get(), std::logic_error);
}

TEST(Future, copies_refer_to_the_same_call) {
  Manual manual;
  const Future<int> first = manual.pool.apply_async(square, 3);
  const Future<int> copy = first;
  const Future<int> other = manual.pool.apply_async(square, 4);
  EXPECT_EQ(first, copy);
  EXPECT_NE(first, other);
  EXPECT_EQ(Future<int>(), Future<int>());
  const std::unordered_map<Future<int>, std::string> inputs{{first, "three"}, {other, "four"}, {Future<int>(), "none"}};
  EXPECT_EQ(inputs.at(copy), "three");
  manual.core->run_all(1);
  EXPECT_EQ(&first.get(), &copy.get());
  EXPECT_FALSE(other.ready());
}

TEST(Future, dropping_every_handle_does_not_cancel) {
  Manual manual;
  static int ran;
  ran = 0;
  manual.pool.apply_async([](int x) { ran = x; }, 5);
  EXPECT_EQ(manual.core->open_calls(), 1U);
  manual.core->run_all(1);
  EXPECT_EQ(ran, 5);
}

// --- the result -----------------------------------------------------------------------------------------------------

TEST(Future, get_may_be_called_again) {
  Pool pool = serial_pool();
  const Future<std::string> future = pool.apply_async(shout, "hey");
  const std::string& result = future.get();
  EXPECT_EQ(result, "hey!");
  EXPECT_EQ(&future.get(), &result);
  EXPECT_EQ(&future.get(1s), &result);
  const Future<int> failed = pool.apply_async(odd_only, 2);
  for (int times = 0; times < 2; ++times) {
    EXPECT_THROW((void)failed.get(), std::out_of_range);
    EXPECT_THROW((void)failed.get(1s), std::out_of_range);
  }
}

TEST(Future, get_of_a_temporary_moves_the_result_out) {
  Pool pool = serial_pool();
  Future<std::unique_ptr<int>> future = pool.apply_async(boxed, 3);
  const Future<std::unique_ptr<int>> copy = future;
  const int* address = copy.get().get();
  const std::unique_ptr<int> box = std::move(future).get();
  EXPECT_EQ(box.get(), address);
  for (const std::string& text :
       {error_of([&] { (void)copy.get(); }), error_of([&] { (void)copy.get(1s); }),
        error_of([&] { (void)Future(copy).get(); }), error_of([&] { copy.then([](const auto&) {}); })}) {
    EXPECT_NE(text.find("moved out"), std::string::npos) << text;
  }
  EXPECT_TRUE(copy.ready());
  EXPECT_TRUE(copy.successful());
  EXPECT_EQ(copy.exception(), nullptr);
  EXPECT_EQ(*pool.apply_async(boxed, 4).get(1s), 4);
  EXPECT_THROW((void)pool.apply_async(odd_only, 4).get(), std::out_of_range);
}

TEST(Future, one_of_two_threads_gets_the_result_moved_out) {
  Pool pool = serial_pool();
  for (int round = 0; round < 400; ++round) {
    const Future<std::unique_ptr<int>> future = pool.apply_async(boxed, round);
    std::atomic<int> got = 0;
    std::atomic<int> refused = 0;
    std::atomic<int> ready = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&, mine = future]() mutable {
        ++ready;
        while (ready != 2) {
        }
        try {
          got += std::move(mine).get() != nullptr ? 1 : 100;
        } catch (const std::logic_error&) {
          ++refused;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(got, 1);
    ASSERT_EQ(refused, 1);
  }
}

TEST(Future, get_with_a_timeout_throws_when_it_has_passed_and_not_before) {
  Manual manual;
  const Future<int> future = manual.pool.apply_async(square, 3);
  for (const rankpool::Seconds timeout : {0.05s, 0.0s, -1.0s, 0.02s}) {
    std::string text;
    const double seconds = seconds_of([&] { text = error_of([&] { (void)future.get(timeout); }); });
    EXPECT_GE(seconds, timeout.count());
    EXPECT_LT(seconds, timeout.count() + 2);
    EXPECT_NE(text.find("not ready within"), std::string::npos) << text;
  }
  EXPECT_EQ(error_of([&] { (void)future.get(50ms); }), "the future was not ready within 0.05 s");
  EXPECT_THROW((void)future.get(1ms), rankpool::TimeoutError);
  EXPECT_THROW((void)Future(future).get(1ms), rankpool::TimeoutError);
  EXPECT_THROW((void)future.exception(1ms), rankpool::TimeoutError);
  EXPECT_THROW((void)future.get(rankpool::Seconds(std::numeric_limits<double>::quiet_NaN())), std::invalid_argument);
  manual.core->run_all(1);
  EXPECT_EQ(future.get(0s), 9);
  EXPECT_EQ(future.get(rankpool::Seconds(-1)), 9);
  EXPECT_EQ(Future(future).get(0s), 9);
}

TEST(Future, a_timeout_as_long_as_one_likes_is_possible) {
  for (const double seconds : {1e8, 1e10, 1e300, std::numeric_limits<double>::infinity()}) {
    Manual manual;
    const Future<int> future = manual.pool.apply_async(square, 3);
    std::thread runner([&] {
      std::this_thread::sleep_for(5ms);
      manual.core->run_all(1);
    });
    EXPECT_EQ(future.get(rankpool::Seconds(seconds)), 9);
    runner.join();
  }
}

TEST(Future, wait_says_whether_the_time_was_enough) {
  Manual manual;
  const Future<int> future = manual.pool.apply_async(square, 3);
  const double seconds = seconds_of([&] { EXPECT_FALSE(future.wait(50ms)); });
  EXPECT_GE(seconds, 0.05);
  EXPECT_LT(seconds, 2);
  std::thread runner([&] {
    std::this_thread::sleep_for(20ms);
    manual.core->run_all(1);
  });
  EXPECT_LT(seconds_of([&] { EXPECT_TRUE(future.wait(60s)); }), 30);
  EXPECT_TRUE(future.wait(0s));
  future.wait();
  runner.join();
}

TEST(Future, many_threads_may_wait_for_one_result) {
  for (int round = 0; round < 50; ++round) {
    Manual manual;
    const Future<int> future = manual.pool.apply_async(square, 3);
    std::atomic<int> sum = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { sum += future.get(); });
    manual.core->run_all(1);
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(sum, 36);
  }
}

TEST(Future, map_async_ends_in_the_error_of_the_lowest_index_once_all_have_ended) {
  Manual manual;
  std::vector<std::string> errors;
  const auto future = manual.pool.map_async(odd_only, {1, 4, 3, 2, 5});
  future.then([](const std::vector<int>&) { FAIL() << "a value"; },
              [&](const std::exception_ptr& error) { errors.push_back(text_of(error)); });
  for (int task = 0; task < 4; ++task) EXPECT_TRUE(manual.core->run_one(1));
  EXPECT_FALSE(future.ready());
  EXPECT_TRUE(errors.empty());
  manual.core->run_all(1);
  EXPECT_EQ(error_of([&] { (void)future.get(); }), "4 is even");
  EXPECT_EQ(errors, (std::vector<std::string>{"4 is even"}));
}

// --- what has become of it ------------------------------------------------------------------------------------------

TEST(Future, tells_whether_it_is_ready_and_how_it_ended) {
  Manual manual;
  const Future<int> good = manual.pool.apply_async(odd_only, 3);
  const Future<int> bad = manual.pool.apply_async(odd_only, 4);
  EXPECT_FALSE(good.ready());
  const std::string text = error_of([&] { (void)good.successful(); });
  EXPECT_NE(text.find("not ready"), std::string::npos) << text;
  EXPECT_THROW((void)good.successful(), std::logic_error);
  EXPECT_FALSE(good.running());
  manual.core->take(1);
  EXPECT_TRUE(good.running());
  manual.core->run_all(1);
  manual.core->run_all(2);
  EXPECT_TRUE(good.ready());
  EXPECT_FALSE(good.running());
  EXPECT_TRUE(good.successful());
  EXPECT_EQ(good.exception(), nullptr);
  EXPECT_EQ(good.exception(1s), nullptr);
  EXPECT_TRUE(bad.ready());
  EXPECT_FALSE(bad.successful());
  EXPECT_EQ(text_of(bad.exception()), "4 is even");
  EXPECT_EQ(text_of(bad.exception(1s)), "4 is even");
  EXPECT_FALSE(good.cancelled() || bad.cancelled());
}

TEST(Future, exception_waits) {
  Manual manual;
  const Future<int> future = manual.pool.apply_async(odd_only, 4);
  std::thread runner([&] {
    std::this_thread::sleep_for(10ms);
    manual.core->run_all(1);
  });
  EXPECT_EQ(text_of(future.exception()), "4 is even");
  runner.join();
}

TEST(Future, cancel_works_while_the_task_waits) {
  Manual manual;
  const Future<int> future = manual.pool.apply_async(square, 3);
  int errors = 0;
  future.then({}, [&](const std::exception_ptr&) { ++errors; });
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(future.ready());
  EXPECT_TRUE(future.cancelled());
  EXPECT_TRUE(future.cancel());
  EXPECT_FALSE(future.running());
  EXPECT_FALSE(future.successful());
  EXPECT_THROW((void)future.get(), rankpool::CancelledError);
  EXPECT_EQ(errors, 1);
}

TEST(Future, cancel_fails_once_the_task_runs_or_has_ended) {
  Manual manual;
  const Future<int> future = manual.pool.apply_async(square, 3);
  manual.core->take(1);
  EXPECT_FALSE(future.cancel());
  EXPECT_FALSE(future.cancelled());
  manual.core->run_all(1);
  EXPECT_FALSE(future.cancel());
  EXPECT_EQ(future.get(), 9);
}

TEST(Future, of_many_tasks_is_cancelled_until_it_has_ended) {
  Manual manual;
  const auto future = manual.pool.map_async(square, {1, 2, 3});
  manual.core->run_one(1);
  EXPECT_TRUE(future.cancel());
  EXPECT_THROW((void)future.get(), rankpool::CancelledError);
  EXPECT_FALSE(manual.core->run_one(1));
}

TEST(Future, a_cancel_wakes_who_waits) {
  Manual manual;
  const Future<int> future = manual.pool.apply_async(square, 3);
  std::thread waiter([&] { EXPECT_THROW((void)future.get(), rankpool::CancelledError); });
  std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(future.cancel());
  waiter.join();
}

TEST(Future, the_end_of_the_pool_cancels_and_the_future_outlives_it) {
  Future<int> pending;
  Future<int> good;
  {
    Manual manual;
    good = manual.pool.apply_async(square, 3);
    pending = manual.pool.apply_async(square, 4);
    manual.core->run_all(1);
    manual.pool.terminate();
  }
  EXPECT_EQ(good.get(), 9);
  EXPECT_TRUE(good.wait(1s));
  EXPECT_FALSE(good.cancel());
  EXPECT_TRUE(pending.ready());
  EXPECT_TRUE(pending.cancelled());
  EXPECT_TRUE(pending.cancel());
  EXPECT_FALSE(pending.running());
  EXPECT_THROW((void)pending.get(), rankpool::CancelledError);
  int called = 0;
  good.then([&](int value) { called = value; });
  EXPECT_EQ(called, 9);
}

TEST(Future, a_cancelled_error_of_a_task_is_no_cancellation) {
  const auto throws = [](int) -> int {
    throw rankpool::Remote<rankpool::CancelledError>(rankpool::CancelledError("mine"), {{}, "", "mine", {}});
  };
  const Future<int> future = serial_pool().apply_async(throws, 1);
  EXPECT_EQ(text_of(future.exception()), "mine");
  EXPECT_FALSE(future.cancelled());
  EXPECT_FALSE(future.cancel());
}
