// Callbacks of futures.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
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

TEST(Callbacks, exactly_one_of_the_two_runs_once) {
  Manual manual;
  std::vector<std::string> heard;
  const auto listen = [&](const Future<int>& future) {
    future.then([&](int value) { heard.push_back(std::to_string(value)); },
                [&](const std::exception_ptr& error) { heard.push_back(text_of(error)); });
  };
  const Future<int> good = manual.pool.apply_async(odd_only, 3);
  const Future<int> bad = manual.pool.apply_async(odd_only, 4);
  listen(good);
  listen(bad);
  EXPECT_TRUE(heard.empty());
  manual.core->run_all(1);
  EXPECT_EQ(heard, (std::vector<std::string>{"3"}));
  manual.core->run_all(2);
  EXPECT_EQ(heard, (std::vector<std::string>{"3", "4 is even"}));
  (void)good.get();
  (void)bad.exception();
  EXPECT_EQ(heard.size(), 2U);
}

TEST(Callbacks, run_in_the_order_added_also_those_added_meanwhile) {
  Manual manual;
  std::string order;
  const Future<int> future = manual.pool.apply_async(square, 3);
  future
      .then([&, future](int) {
        order += 'a';
        future.then([&](int) { order += 'd'; });
      })
      .then([&](int) { order += 'b'; })
      .then([&](int) { order += 'c'; });
  manual.core->run_all(1);
  EXPECT_EQ(order, "abcd");
}

TEST(Callbacks, of_an_ended_call_run_at_once_in_the_callers_thread) {
  Pool pool = serial_pool();
  std::thread::id where;
  int value = 0;
  pool.apply_async(square, 3).then([&](int result) {
    where = std::this_thread::get_id();
    value = result;
  });
  EXPECT_EQ(value, 9);
  EXPECT_EQ(where, std::this_thread::get_id());
  std::string text;
  pool.apply_async(odd_only, 2).then({}, [&](const std::exception_ptr& error) { text = text_of(error); });
  EXPECT_EQ(text, "2 is even");
}

TEST(Callbacks, run_before_a_waiter_wakes) {
  for (int round = 0; round < 50; ++round) {
    Manual manual;
    const Future<int> future = manual.pool.apply_async(square, 3);
    std::atomic<bool> heard = false;
    future.then([&](int) {
      std::this_thread::sleep_for(1ms);
      heard = true;
    });
    std::thread runner([&] { manual.core->run_all(1); });
    if (round % 2 == 0) {
      while (!future.ready()) std::this_thread::yield();
    } else {
      future.wait();
    }
    EXPECT_TRUE(heard);
    runner.join();
  }
}

TEST(Callbacks, then_returns_the_same_future) {
  Manual manual;
  const Future<int> future = manual.pool.apply_async(square, 3);
  EXPECT_EQ(&future.then([](int) {}), &future);
  const Future<int> temporary = Future<int>(future).then([](int) {});
  EXPECT_EQ(temporary, future);
  manual.core->run_all(1);
  EXPECT_EQ(future.then([](int) {}).get(), 9);
  EXPECT_EQ(future.get(), 9);
  std::string word;
  EXPECT_EQ(*serial_pool().apply_async(boxed, 4).then([&](const auto& box) { word = std::to_string(*box); }).get(), 4);
  EXPECT_EQ(word, "4");
}

TEST(Callbacks, may_be_of_any_kind) {
  static int sum;
  sum = 0;
  struct Adder {
    std::unique_ptr<int> by;
    void operator()(int value) { sum += value + *by; }
  };
  Pool pool = serial_pool();
  const Future<int> future = pool.apply_async(square, 3);
  future.then(Adder{std::make_unique<int>(100)});
  future.then(+[](int value) { sum += value; });
  future.then([](const auto& value) { return value; });
  future.then({});
  pool.apply_async(nothing, 1).then([] { sum += 1000; });
  EXPECT_EQ(sum, 1118);
}

TEST(Callbacks, what_one_throws_is_logged_and_changes_nothing) {
  Manual manual;
  const Future<int> future = manual.pool.apply_async(square, 3);
  int heard = 0;
  future.then([](int) { throw std::runtime_error("a text of its own"); });
  future.then([&](int value) { heard = value; });
  testing::internal::CaptureStderr();
  manual.core->run_all(1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "rankpool: a callback threw: a text of its own\n");
  EXPECT_EQ(heard, 9);
  EXPECT_EQ(future.get(), 9);
  testing::internal::CaptureStderr();
  future.then([](int) { throw 7; });
  EXPECT_NE(testing::internal::GetCapturedStderr().find("rankpool: a callback threw: "), std::string::npos);
  testing::internal::CaptureStderr();
  future.then([](int) { throw std::logic_error("rankpool: a text of the library"); });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "rankpool: a callback threw: a text of the library\n");
}

TEST(Callbacks, release_what_they_hold_once_one_of_the_two_has_run) {
  Manual manual;
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = held;
  const Future<int> future = manual.pool.apply_async(square, 3);
  bool alive_in_the_next = true;
  future.then([held](int) {}, [held](const std::exception_ptr&) {});
  future.then([&](int) { alive_in_the_next = !watch.expired(); });
  held.reset();
  EXPECT_FALSE(watch.expired());
  manual.core->run_all(1);
  EXPECT_FALSE(alive_in_the_next);
  EXPECT_TRUE(watch.expired());
  held = std::make_shared<int>(0);
  const std::weak_ptr<int> again = held;
  future.then([mine = std::move(held)](int) {});
  EXPECT_TRUE(again.expired());
}

TEST(Callbacks, may_start_calls_a_hundred_deep) {
  Manual manual;
  std::vector<int> heard;
  struct Step {
    Manual& manual;
    std::vector<int>& heard;
    int left;
    void operator()(int value) const {
      heard.push_back(value);
      if (left != 0) manual.pool.apply_async(square, left).then(Step{manual, heard, left - 1});
    }
  };
  manual.pool.apply_async(square, 100).then(Step{manual, heard, 99});
  for (std::uint64_t call = 1; call <= 100; ++call) manual.core->run_all(call);
  ASSERT_EQ(heard.size(), 100U);
  EXPECT_EQ(heard.front(), 10000);
  EXPECT_EQ(heard.back(), 1);
}

TEST(Callbacks, may_cancel_and_terminate) {
  Manual manual;
  const Future<int> first = manual.pool.apply_async(square, 1);
  const Future<int> second = manual.pool.apply_async(square, 2);
  const Future<int> third = manual.pool.apply_async(square, 3);
  bool second_heard = false;
  second.then({}, [&](const std::exception_ptr&) { second_heard = true; });
  first.then([&](int) {
    EXPECT_TRUE(second.cancel());
    EXPECT_TRUE(second_heard);
    manual.pool.terminate();
  });
  manual.core->run_all(1);
  EXPECT_TRUE(third.cancelled());
  EXPECT_EQ(first.get(), 1);
}

TEST(Callbacks, may_shut_the_pool_down_without_waiting) {
  Manual manual;
  const Future<int> future = manual.pool.apply_async(square, 1);
  std::string text;
  rankpool::PoolState refused = rankpool::PoolState::broken;
  future.then([&](int) {
    text = error_of([&] { manual.pool.shutdown(); });
    refused = manual.pool.state();
    manual.pool.shutdown({.wait = false});
  });
  manual.core->run_all(1);
  EXPECT_NE(text.find("in a callback"), std::string::npos) << text;
  EXPECT_EQ(refused, rankpool::PoolState::running) << "a refused shutdown changes nothing";
  EXPECT_EQ(manual.pool.state(), rankpool::PoolState::closed);
}

TEST(Callbacks, may_not_block_but_may_look_at_what_is_ready) {
  Manual manual;
  const Future<int> first = manual.pool.apply_async(square, 1);
  const Future<int> second = manual.pool.apply_async(square, 2);
  const Future<int> third = manual.pool.apply_async(square, 3);
  manual.core->run_all(2);
  std::vector<std::string> errors;
  int sum = 0;
  first.then([&](int) {
    errors.push_back(error_of([&] { (void)third.get(); }));
    errors.push_back(error_of([&] { third.wait(); }));
    errors.push_back(error_of([&] { (void)third.wait(1s); }));
    errors.push_back(error_of([&] { (void)third.exception(); }));
    errors.push_back(error_of([&] { (void)Future(first).get(); }));
    EXPECT_TRUE(first.ready());
    EXPECT_TRUE(first.successful());
    first.wait();
    sum = first.get() + second.get() + Future(second).get();
  });
  manual.core->run_all(1);
  ASSERT_EQ(errors.size(), 5U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NE(errors[i].find("in a callback"), std::string::npos) << errors[i];
  EXPECT_NE(errors[4].find("must not move the result out"), std::string::npos) << errors[4];
  EXPECT_EQ(sum, 9);
  EXPECT_EQ(first.get(), 1);
}

TEST(Callbacks, see_their_future_ready_also_when_added_just_before_the_waiters_wake) {
  const auto call = std::make_shared<rankpool::detail::ApplyCall<int>>();
  const Future<int> future(call);
  call->start({}, 1);
  HeapResults results(0);
  results.commit(rankpool::detail::encode_result(7, results));
  results.deliver(call->sink());
  call->finish(nullptr);
  EXPECT_FALSE(future.ready());
  call->call_back();
  ASSERT_FALSE(call->done());  // which the pool says under its lock, a moment later
  int heard = 0;
  future.then([&](int) {
    EXPECT_TRUE(future.ready());
    EXPECT_TRUE(future.successful());
    EXPECT_EQ(rankpool::wait({future}).done.size(), 1U);
    heard = future.get();
  });
  EXPECT_EQ(heard, 7);
  EXPECT_EQ(Future(future).get(), 7);
  call->set_done();
  EXPECT_THROW((void)future.get(), std::logic_error);  // moved out
}

TEST(Callbacks, added_while_the_call_ends_run_once_each) {
  constexpr int rounds = 300;
  constexpr int adders = 3;
  constexpr int each = 20;
  for (int round = 0; round < rounds; ++round) {
    Manual manual;
    const Future<int> future = manual.pool.apply_async(odd_only, round);
    std::vector<std::atomic<int>> heard(adders * each);
    std::atomic<bool> go = false;
    std::vector<std::thread> threads;
    for (int adder = 0; adder < adders; ++adder) {
      threads.emplace_back([&, adder] {
        while (!go) std::this_thread::yield();
        for (int i = 0; i < each; ++i) {
          std::atomic<int>& mine = heard[static_cast<std::size_t>(adder * each + i)];
          future.then([&](int) { ++mine; }, [&](const std::exception_ptr&) { mine += 100; });
        }
      });
    }
    go = true;
    manual.core->run_all(1);
    for (std::thread& thread : threads) thread.join();
    for (const std::atomic<int>& times : heard) ASSERT_EQ(times, round % 2 == 0 ? 100 : 1);
  }
}

TEST(Callbacks, a_cancel_that_races_with_the_result_leaves_one_end) {
  for (int round = 0; round < 300; ++round) {
    Manual manual;
    const Future<int> future = manual.pool.apply_async(square, 3);
    std::atomic<int> values = 0;
    std::atomic<int> errors = 0;
    future.then([&](int) { ++values; }, [&](const std::exception_ptr&) { ++errors; });
    std::thread runner([&] { manual.core->run_all(1); });
    const bool cancelled = future.cancel();
    future.wait();
    runner.join();
    ASSERT_EQ(values, cancelled ? 0 : 1);
    ASSERT_EQ(errors, cancelled ? 1 : 0);
    ASSERT_EQ(future.cancelled(), cancelled);
  }
}
