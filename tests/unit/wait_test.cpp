// Waiting for some or all of several futures.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "manual_calls.hpp"
#include "tasks.hpp"

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::as_completed;
using rankpool::Future;
using rankpool::wait;
using rankpool::When;

TEST(Wait, for_all_returns_when_the_last_is_ready) {
  const Calls calls(square, 4);
  calls.run({2});
  std::thread runner = calls.run_later({3, 1, 4});
  const rankpool::Waited<int> waited = wait(calls.futures);
  EXPECT_EQ(waited.done, calls.futures);
  EXPECT_TRUE(waited.not_done.empty());
  runner.join();
}

TEST(Wait, for_the_first_returns_with_one) {
  const Calls calls(square, 3);
  std::thread runner = calls.run_later({2});
  const auto waited = wait(calls.futures, When::first_completed);
  EXPECT_EQ(waited.done, (std::vector{calls.futures[1]}));
  EXPECT_EQ(waited.not_done, (std::vector{calls.futures[0], calls.futures[2]}));
  runner.join();
  EXPECT_EQ(wait(calls.futures, When::first_completed).done.size(), 1U);  // one is ready already
}

TEST(Wait, for_the_first_exception_goes_on_after_values) {
  const Calls calls(odd_only, 4);
  std::thread runner = calls.run_later({1, 3, 2});
  const auto waited = wait(calls.futures, When::first_exception);
  EXPECT_EQ(waited.done, (std::vector{calls.futures[0], calls.futures[1], calls.futures[2]}));
  EXPECT_EQ(waited.not_done, (std::vector{calls.futures[3]}));
  runner.join();
}

TEST(Wait, for_an_exception_that_is_there_returns_at_once) {
  const Calls calls(odd_only, 4);
  calls.run({1, 4});
  EXPECT_EQ(wait(calls.futures, When::first_exception).done, (std::vector{calls.futures[0], calls.futures[3]}));
}

TEST(Wait, for_an_exception_that_never_comes_waits_for_all) {
  const Calls calls(square, 3);
  std::thread runner = calls.run_later({3, 2, 1});
  EXPECT_EQ(wait(calls.futures, When::first_exception).done.size(), 3U);
  runner.join();
}

TEST(Wait, for_an_exception_does_not_take_a_cancellation_for_one) {
  const Calls calls(odd_only, 3);
  EXPECT_TRUE(calls.futures[0].cancel());
  const auto waited = wait(calls.futures, When::first_exception, 5ms);
  EXPECT_EQ(waited.done, (std::vector{calls.futures[0]}));
  calls.run({3, 2});
  EXPECT_EQ(wait(calls.futures, When::first_exception).not_done.size(), 0U);
}

TEST(Wait, with_a_timeout_returns_what_there_is_and_not_before) {
  const Calls calls(square, 3);
  calls.run({3});
  for (const When when : {When::all_completed, When::first_exception}) {
    const double seconds = seconds_of([&] {
      const auto waited = wait(calls.futures, when, 50ms);
      EXPECT_EQ(waited.done, (std::vector{calls.futures[2]}));
      EXPECT_EQ(waited.not_done, (std::vector{calls.futures[0], calls.futures[1]}));
    });
    EXPECT_GE(seconds, 0.05);
    EXPECT_LT(seconds, 2);
  }
  EXPECT_EQ(wait(calls.futures, When::all_completed, 0s).not_done.size(), 2U);
  EXPECT_EQ(wait(calls.futures, When::first_completed, 1h).done.size(), 1U);
}

TEST(Wait, counts_duplicates_once) {
  const Calls calls(square, 2);
  const Future<int>& a = calls.futures[0];
  const Future<int>& b = calls.futures[1];
  calls.run({2});
  const auto waited = wait({b, a, b, a, a}, When::first_completed);
  EXPECT_EQ(waited.done, (std::vector{b}));
  EXPECT_EQ(waited.not_done, (std::vector{a}));
  calls.run({1});
  EXPECT_EQ(wait({b, a, b}).done, (std::vector{b, a}));
}

TEST(Wait, for_nothing_returns_at_once) {
  for (const When when : {When::all_completed, When::first_exception, When::first_completed}) {
    const auto waited = wait(std::vector<Future<int>>{}, when, 10s);
    EXPECT_TRUE(waited.done.empty() && waited.not_done.empty());
  }
}

TEST(Wait, takes_any_range_of_any_futures) {
  const Calls calls(square, 3);
  calls.run({1, 2, 3});
  EXPECT_EQ(wait(std::list(calls.futures.begin(), calls.futures.end())).done.size(), 3U);
  EXPECT_EQ(wait(calls.futures | std::views::take(2)).done.size(), 2U);
  const auto made =
      std::views::iota(0, 2) | std::views::transform([&](int i) { return calls.futures[static_cast<std::size_t>(i)]; });
  EXPECT_EQ(wait(made).done.size(), 2U);
  Calls more(square, 0);
  const Future<void> nothing = more.pool.apply_async([] {});
  more.run({1});
  EXPECT_EQ(wait({nothing}).done, (std::vector{nothing}));
}

TEST(Wait, refuses_a_future_without_a_call) {
  EXPECT_NE(error_of([] { (void)wait({Future<int>()}); }).find("refers to no call"), std::string::npos);
  EXPECT_NE(error_of([] { (void)as_completed({Future<int>()}); }).find("refers to no call"), std::string::npos);
}

TEST(Wait, in_a_callback_is_refused_unless_nothing_is_left_to_wait_for) {
  const Calls calls(square, 3);
  calls.run({1});
  std::string text;
  std::size_t done = 0;
  std::string stream;
  int first = 0;
  calls.futures[1].then([&](int) {
    text = error_of([&] { (void)wait({calls.futures[0], calls.futures[2]}); });
    done = wait({calls.futures[0], calls.futures[2]}, When::first_completed).done.size();
    auto range = as_completed({calls.futures[2], calls.futures[0]});
    auto at = range.begin();
    first = at->get();
    stream = error_of([&] { ++at; });
  });
  calls.run({2});
  EXPECT_NE(text.find("in a callback"), std::string::npos) << text;
  EXPECT_EQ(done, 1U);
  EXPECT_EQ(first, 1);
  EXPECT_NE(stream.find("in a callback"), std::string::npos) << stream;
}

TEST(Wait, in_a_futures_own_callback_counts_that_future_as_ready) {
  const Calls calls(odd_only, 3);
  calls.run({3});
  int heard = 0;
  const auto listen = [&] {
    const Future<int>& own = calls.futures[1];
    EXPECT_EQ(wait({own}).done.size(), 1U);
    EXPECT_EQ(wait({own, calls.futures[2]}, 10s).done.size(), 2U);
    EXPECT_EQ(wait({calls.futures[0], own}, When::first_completed).done, (std::vector{own}));
    EXPECT_EQ(wait({calls.futures[0], own}, When::first_exception).done, (std::vector{own}));
    EXPECT_EQ(wait({calls.futures[0], own}, 0s).done, (std::vector{own}));
    EXPECT_EQ(wait({calls.futures[0]}, When::all_completed, -1s).not_done.size(), 1U);
    EXPECT_NE(error_of([&] { (void)wait({calls.futures[0], own}, 1s); }).find("in a callback"), std::string::npos);
    ++heard;
  };
  calls.futures[1].then({}, [&](const std::exception_ptr&) { listen(); });
  calls.run({2});
  EXPECT_EQ(heard, 1);
}

TEST(Wait, takes_a_timeout_alone) {
  const Calls calls(square, 2);
  calls.run({1});
  EXPECT_EQ(wait(calls.futures, 5ms).not_done.size(), 1U);
  EXPECT_EQ(wait(calls.futures, 0s).done.size(), 1U);
  EXPECT_EQ(wait({calls.futures[0], calls.futures[1]}, 2.5ms).not_done.size(), 1U);
  calls.run({2});
  EXPECT_EQ(wait(calls.futures, 1h).done.size(), 2U);
  EXPECT_THROW((void)wait(calls.futures, rankpool::Seconds(std::nan(""))), std::invalid_argument);
}

TEST(Wait, returns_after_the_callbacks) {
  for (int round = 0; round < 50; ++round) {
    const Calls calls(square, 2);
    std::atomic<int> heard = 0;
    for (const Future<int>& future : calls.futures) {
      future.then([&](int) {
        std::this_thread::sleep_for(500us);
        ++heard;
      });
    }
    std::thread runner([&] { calls.run({1, 2}); });
    const auto waited = wait(calls.futures);
    EXPECT_EQ(heard, 2);
    EXPECT_EQ(waited.done.size(), 2U);
    runner.join();
  }
}

TEST(Wait, works_for_futures_of_several_pools) {
  for (int round = 0; round < 20; ++round) {
    const Calls a(square, 3);
    const Calls b(square, 3);
    std::vector<Future<int>> all = a.futures;
    all.insert(all.end(), b.futures.begin(), b.futures.end());
    EXPECT_EQ(wait(all, When::all_completed, 7ms).not_done.size(), 6U);
    std::thread run_b = b.run_later({3, 1, 2});
    const std::vector<Future<int>> first = wait(all, When::first_completed).done;
    EXPECT_NE(std::ranges::find(first, b.futures[2]), first.end());
    std::thread run_a = a.run_later({2, 3, 1});
    EXPECT_EQ(wait(all).done, all);
    run_a.join();
    run_b.join();
  }
}

TEST(Wait, may_be_repeated_by_many_threads_while_futures_end) {
  for (int round = 0; round < 5; ++round) {
    const Calls calls(square, 50);
    std::vector<std::thread> waiters;
    for (int i = 0; i < 3; ++i) {
      waiters.emplace_back([&, i] {
        std::size_t least = 0;
        while (least < calls.futures.size()) {
          const auto waited = wait(calls.futures, i == 0 ? When::first_completed : When::all_completed, 100us);
          EXPECT_GE(waited.done.size(), least);
          EXPECT_EQ(waited.done.size() + waited.not_done.size(), calls.futures.size());
          for (const Future<int>& future : waited.done) EXPECT_TRUE(future.ready());
          least = waited.done.size();
        }
      });
    }
    for (std::uint64_t call = 1; call <= 50; ++call) {
      calls.core->run_all(call);
      std::this_thread::yield();
    }
    for (std::thread& waiter : waiters) waiter.join();
  }
}
