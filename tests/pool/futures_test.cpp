// Calls that nobody waits for, and their futures.
#include "pool/gate.hpp"
#include "pool/pool_test.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Future;
using rankpool::TimeoutError;
using Clock = std::chrono::steady_clock;

// --- results --------------------------------------------------------------------------------------------------------

TEST(Future, gives_what_the_blocking_call_gives) {
  EXPECT_EQ(pool().apply_async(square, 5).get(), pool().apply(square, 5));
  EXPECT_EQ(pool().submit(power, 2.0, 10).get(), 1024.0);
  EXPECT_EQ(pool().map_async(square, numbers(1000)).get(), squares(1000));
  EXPECT_EQ(pool().map_async(square, {1, 2, 3}).get(), (std::vector{1, 4, 9}));
  EXPECT_EQ(pool().starmap_async(power, {{2.0, 3}, {3.0, 2}}).get(), (std::vector{8.0, 9.0}));
  EXPECT_EQ(pool().map_async(power, std::vector{2.0, 3.0}, std::vector{2, 3, 4}, {.chunksize = 1}).get(),
            (std::vector{4.0, 27.0}));
}

TEST(Future, of_void_functions_is_ready_when_all_have_run) {
  const ScratchFile file;
  pool().submit(append_line, file.path(), "7").get();
  EXPECT_EQ(file.numbers<std::vector<int>>(), std::vector{7});
  pool().map_async([](int) {}, numbers(20)).get();
}

TEST(Future, of_nothing_is_ready_and_empty) {
  const auto future = pool().map_async(square, std::vector<int>());
  EXPECT_TRUE(future.wait(10s));
  EXPECT_TRUE(future.get().empty());
}

TEST(Future, gives_move_only_results) {
  const auto make = [](int i) { return std::make_unique<int>(i); };
  EXPECT_EQ(*pool().apply_async(make, 7).get(), 7);
  const auto all = pool().map_async(make, numbers(20)).get();
  EXPECT_EQ(*all.at(19), 19);
}

TEST(Future, draws_a_range_with_a_name_before_the_call_returns) {
  std::vector<int> inputs = numbers(2000);
  const auto future = pool().map_async(square, inputs);
  inputs.assign(inputs.size(), 0);
  inputs.clear();
  EXPECT_EQ(future.get(), squares(2000));
}

TEST(Future, of_a_range_that_throws_is_the_callers_error) {
  for (const int bad : {0, 3, 7}) {
    const auto draw = [bad](int i) {
      if (i == bad) throw std::length_error("drawn");
      return i;
    };
    for (int time = 0; time < 2; ++time) {
      EXPECT_EQ(text_of_thrown<std::length_error>(
                    [&] { (void)pool().map_async(square, std::views::iota(0, 20) | std::views::transform(draw)); }),
                "drawn");
    }
  }
  EXPECT_EQ(pool().apply(square, 3), 9);
}

TEST(Future, has_the_tasks_error) {
  const auto one = pool().submit(fail_at, 3, 3);
  EXPECT_EQ(text_of_thrown<std::out_of_range>([&] { (void)one.get(); }), "task 3");
  EXPECT_TRUE(is_a<rankpool::RemoteError>(one.exception()));
  EXPECT_FALSE(one.successful());
  EXPECT_FALSE(one.cancelled());

  const auto several = pool().map_async(rankpool::bind(fail_at, 4), numbers(10), {.chunksize = 3});
  EXPECT_EQ(text_of_thrown<std::out_of_range>([&] { (void)several.get(); }), "task 4");
}

TEST(Future, of_a_task_that_throws_a_timeout_is_that_tasks_error) {
  const auto future = pool().submit([](int) { throw TimeoutError("mine"); }, 1);
  try {
    future.get(60s);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const TimeoutError& error) {
    EXPECT_NE(dynamic_cast<const rankpool::RemoteError*>(&error), nullptr);
    EXPECT_STREQ(error.what(), "mine");
  }
}

TEST(Future, outlives_its_task_and_gives_the_same_again) {
  const auto future = pool().submit(square, 9);
  EXPECT_EQ(future.get(), 81);
  EXPECT_EQ(future.get(), 81);
  EXPECT_TRUE(future.successful());
  EXPECT_EQ(future.exception(), nullptr);
}

// --- time -----------------------------------------------------------------------------------------------------------

TEST(Future, times_out_never_too_early_and_can_be_asked_again) {
  const auto future = pool().submit(sleep_ms, 400);
  EXPECT_FALSE(future.ready());
  EXPECT_THROW((void)future.successful(), std::logic_error);
  const auto start = Clock::now();
  EXPECT_FALSE(future.wait(50ms));
  EXPECT_THROW((void)future.get(50ms), TimeoutError);
  EXPECT_GE(Clock::now() - start, 100ms);
  EXPECT_LT(Clock::now() - start, 2s);
  EXPECT_EQ(future.get(60s), 400);
  EXPECT_TRUE(future.ready());
}

TEST(Future, of_a_call_with_a_timeout_ends_in_it) {
  const auto start = Clock::now();
  const auto future = pool().map_async(sleep_ms, std::vector(20 * static_cast<std::size_t>(pool().processes()), 100),
                                       {.timeout = 250ms});
  EXPECT_THROW((void)future.get(), TimeoutError);
  EXPECT_GE(Clock::now() - start, 250ms);
  EXPECT_LT(Clock::now() - start, 1500ms);
  EXPECT_EQ(pool().apply(square, 3), 9);
}

// --- several futures ------------------------------------------------------------------------------------------------

TEST(Wait, ends_with_the_first_the_first_error_or_all) {
  using rankpool::When;
  Busy busy;
  const auto a = pool().submit(square, 1);
  const auto b = pool().submit(fail_at, 2, 2);
  auto [done, not_done] = rankpool::wait({a, b, a}, When::first_completed, 50ms);
  EXPECT_TRUE(done.empty());
  EXPECT_EQ(not_done.size(), 2U);
  busy.release();
  EXPECT_FALSE(rankpool::wait({a, b}, When::first_completed).done.empty());
  EXPECT_TRUE(b.wait(10s));
  EXPECT_FALSE(rankpool::wait({a, b}, When::first_exception).done.empty());
  EXPECT_EQ(rankpool::wait({a, b, a}).done.size(), 2U);
}

TEST(AsCompleted, gives_each_once_in_the_order_of_their_ends) {
  std::vector<Future<int>> futures;
  for (int i = 0; i < 50; ++i) futures.push_back(pool().submit(square, i));
  futures.push_back(futures.front());
  std::multiset<int> got;
  for (const auto& future : rankpool::as_completed(futures)) {
    EXPECT_TRUE(future.ready());
    got.insert(future.get());
  }
  const auto expected = squares(50);
  EXPECT_EQ(got, std::multiset<int>(expected.begin(), expected.end()));

  const auto quick = pool().submit(square, 2);
  quick.wait();
  const auto slow = pool().submit(sleep_ms, 300);
  const std::string text = text_of_thrown<TimeoutError>([&] {
    for (const auto& future : rankpool::as_completed({slow, quick}, 100ms)) EXPECT_EQ(future, quick);
  });
  EXPECT_TRUE(contains(text, "1 of 2 futures unfinished")) << text;
  EXPECT_EQ(slow.get(), 300);
}

// --- threads --------------------------------------------------------------------------------------------------------

TEST(Futures, from_ten_threads_at_once) {
  std::atomic<int> wrong = 0;
  std::atomic<int> callbacks = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 10; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < 20; ++i) {
          if (thread % 3 == 0) {
            if (pool().map(square, numbers(100)) != squares(100)) ++wrong;
          } else if (thread % 3 == 1) {
            if (pool().submit(square, i).then([&](int) { ++callbacks; }).get() != i * i) ++wrong;
          } else {
            const auto future = pool().submit(square, i);
            if (future.cancel() != future.cancelled()) ++wrong;
            future.wait();
            if (!future.cancelled() && future.get() != i * i) ++wrong;
          }
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(callbacks, 60);
}

}  // namespace
