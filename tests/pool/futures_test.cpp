// Calls that nobody waits for, and their futures.
#include "pool/pool_test.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;
using rankpool::Future;
using rankpool::TimeoutError;
using Clock = std::chrono::steady_clock;

int sleep_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return ms;
}

int fail_at(int bad, int i) {
  if (i == bad) throw std::out_of_range("task " + std::to_string(i));
  return square(i);
}

/// Occupies every executor until it is destroyed.
class Busy {
 public:
  Busy() {
    for (int i = 0; i < pool().processes(); ++i)
      tasks_.push_back(pool().submit(wait_for_line, started_.path(), go_.path()));
    while (started_.numbers<std::vector<int>>().size() < tasks_.size()) std::this_thread::sleep_for(2ms);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() { release(); }

  void release() {
    if (tasks_.empty()) return;
    append_line(go_.path(), "1");
    for (const auto& task : tasks_) task.wait();
    tasks_.clear();
  }
  [[nodiscard]] const Future<void>& one() const { return tasks_.front(); }

 private:
  static void wait_for_line(const std::string& started, const std::string& go) {
    append_line(started, "1");
    int line = 0;
    while (!(std::ifstream(go) >> line)) std::this_thread::sleep_for(2ms);
  }

  ScratchFile started_;
  ScratchFile go_;
  std::vector<Future<void>> tasks_;
};

bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 2000 && !holds(); ++i) std::this_thread::sleep_for(5ms);
  return holds();
}

// --- results ---------------------------------------------------------------------------------------------------------

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

// --- time ------------------------------------------------------------------------------------------------------------

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

// --- cancelling ------------------------------------------------------------------------------------------------------

TEST(Cancel, of_a_call_that_waits_works_and_may_be_repeated) {
  Busy busy;
  const auto future = pool().submit(square, 3);
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(future.cancelled());
  EXPECT_THROW((void)future.get(), CancelledError);
}

TEST(Cancel, of_a_call_that_runs_or_has_ended_does_not) {
  {
    Busy busy;
    EXPECT_TRUE(busy.one().running());
    EXPECT_FALSE(busy.one().cancel());
    busy.release();
  }
  const auto future = pool().submit(square, 3);
  EXPECT_EQ(future.get(), 9);
  EXPECT_FALSE(future.running());
  EXPECT_FALSE(future.cancel());
  EXPECT_FALSE(future.cancelled());
}

TEST(Cancel, leaves_the_future_ready) {
  for (int i = 0; i < 20; ++i) {
    const auto future = pool().map_async(sleep_ms, std::vector<int>(1000, 1));
    int told = 0;
    future.then([](const auto&) {}, [&](const std::exception_ptr&) { ++told; });
    std::this_thread::sleep_for(3ms);  // until the background thread drives
    EXPECT_TRUE(future.cancel());
    EXPECT_TRUE(future.ready());
    EXPECT_EQ(told, 1);
  }
}

TEST(Cancel, of_a_map_leaves_out_what_has_not_started) {
  const ScratchFile file;
  const auto task = [](const std::string& path, int i) {
    append_line(path, std::to_string(i));
    return sleep_ms(20);
  };
  const auto future = pool().map_async(rankpool::bind(task, file.path()), numbers(500), {.chunksize = 1});
  ASSERT_TRUE(eventually([&] { return !file.numbers<std::vector<int>>().empty(); }));
  EXPECT_TRUE(future.cancel());
  EXPECT_THROW((void)future.get(), CancelledError);
  EXPECT_EQ(pool().apply(square, 3), 9);
  EXPECT_LT(file.numbers<std::vector<int>>().size(), 400U);
}

// --- callbacks -------------------------------------------------------------------------------------------------------

TEST(Callback, comes_while_the_master_sleeps_in_code_of_its_own) {
  std::atomic<int> got = 0;
  const auto future = pool().submit(square, 6).then([&](int value) { got = value; });
  for (int i = 0; i < 1000 && got == 0; ++i) std::this_thread::sleep_for(2ms);  // no call of the pool
  EXPECT_EQ(got, 36);
  EXPECT_EQ(future.get(), 36);
}

TEST(Callback, of_the_two_runs_once_and_before_a_waiter_wakes) {
  for (int i = 0; i < 200; ++i) {
    std::atomic<int> values = 0;
    std::atomic<int> errors = 0;
    const auto future =
        pool().submit(fail_at, 1, i % 2).then([&](int) { ++values; }, [&](const std::exception_ptr&) { ++errors; });
    future.wait();
    EXPECT_EQ(values, i % 2 == 0 ? 1 : 0);
    EXPECT_EQ(errors, i % 2 == 1 ? 1 : 0);
  }
}

TEST(Callback, of_a_map_gets_the_whole_vector_or_the_first_error) {
  std::vector<int> got;
  pool().map_async(square, numbers(100)).then([&](const std::vector<int>& all) { got = all; }).wait();
  EXPECT_EQ(got, squares(100));
  std::string text;
  pool()
      .map_async(rankpool::bind(fail_at, 60), numbers(100), {.chunksize = 7})
      .then({}, [&](const std::exception_ptr& error) { text = rankpool::detail::text_of(error); })
      .wait();
  EXPECT_TRUE(contains(text, "task 60")) << text;
  int empty = 0;
  pool()
      .map_async(square, std::vector<int>())
      .then([&](const std::vector<int>& all) { empty += all.empty() ? 1 : 0; })
      .wait();
  EXPECT_EQ(empty, 1);
}

TEST(Callback, may_go_on_a_hundred_deep) {
  std::atomic<int> depth = 0;
  std::function<void(int)> next = [&](int) {
    if (++depth < 100) pool().submit(square, 1).then(next);
  };
  pool().submit(square, 1).then(next);
  EXPECT_TRUE(eventually([&] { return depth == 100; }));
}

TEST(Callback, may_not_wait_for_the_pool) {
  std::vector<std::string> texts;
  std::mutex mutex;
  const auto refused = [&](const auto& call) {
    const std::string text = text_of_thrown<std::logic_error>(call);
    const std::lock_guard lock(mutex);
    texts.push_back(text);
  };
  pool()
      .submit(square, 1)
      .then([&](int) {
        const auto slow = pool().submit(sleep_ms, 300);
        refused([&] { (void)slow.get(); });
        refused([&] { (void)pool().map(square, {1, 2}); });
        refused([&] { (void)pool().apply(square, 2); });
        refused([&] { (void)pool().imap(square, numbers(3)).next(); });
      })
      .wait();
  ASSERT_EQ(texts.size(), 4U);
  for (const std::string& text : texts) EXPECT_TRUE(contains(text, "callback")) << text;
}

TEST(Callback, that_throws_changes_nothing) {
  const auto future = pool().submit(square, 4).then([](int) { throw std::runtime_error("of a callback"); });
  EXPECT_EQ(future.get(), 16);
  EXPECT_EQ(pool().apply(square, 5), 25);
}

TEST(Callback, may_submit_and_cancel) {
  Busy busy;
  const auto waiting = pool().submit(square, 3);
  std::atomic<int> result = -1;
  std::vector<Future<int>> submitted;
  pool()
      .map_async(square, std::vector<int>())
      .then([&](const auto&) {
        result = waiting.cancel() ? 1 : 0;
        submitted.push_back(pool().submit(square, 8));
      })
      .wait();
  EXPECT_EQ(result, 1);
  busy.release();
  EXPECT_THROW((void)waiting.get(), CancelledError);
  EXPECT_EQ(submitted.at(0).get(), 64);
}

// --- several futures -------------------------------------------------------------------------------------------------

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

// --- threads, and the end --------------------------------------------------------------------------------------------

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

TEST(End, close_lets_what_was_submitted_finish) {
  std::atomic<int> callbacks = 0;
  std::vector<Future<int>> futures;
  for (int i = 0; i < 20; ++i) futures.push_back(pool().submit(sleep_ms, 10).then([&](int) { ++callbacks; }));
  pool().close();
  EXPECT_THROW((void)pool().submit(square, 1), rankpool::PoolClosed);
  pool().join();
  EXPECT_EQ(callbacks, 20);
  for (const auto& future : futures) EXPECT_EQ(future.get(), 10);
}

TEST(End, terminate_makes_what_is_left_ready_and_wakes_who_waits) {
  std::vector<Future<int>> futures;
  std::atomic<int> errors = 0;
  for (int i = 0; i < 50; ++i) {
    futures.push_back(pool().submit(sleep_ms, 10'000).then({}, [&](const std::exception_ptr&) { ++errors; }));
  }
  std::jthread waiter([&] { EXPECT_THROW((void)futures.back().get(), CancelledError); });
  std::this_thread::sleep_for(50ms);
  const auto start = Clock::now();
  pool().terminate();
  for (const auto& future : futures) EXPECT_THROW((void)future.get(5s), CancelledError);
  waiter.join();
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_EQ(errors, 50);
}

TEST(End, terminate_in_a_callback_works) {
  pool().submit(sleep_ms, 50).then([](int) { pool().terminate(); });
  const auto slow = pool().submit(sleep_ms, 10'000);
  EXPECT_THROW((void)slow.get(5s), CancelledError);
}

TEST(End, shutdown_that_cancels_finishes_what_runs) {
  const ScratchFile file;
  const auto task = [](const std::string& path) {
    append_line(path, "1");
    sleep_ms(50);
  };
  std::vector<Future<void>> futures;
  for (int i = 0; i < 50; ++i) futures.push_back(pool().submit(task, file.path()));
  ASSERT_TRUE(eventually([&] { return !file.numbers<std::vector<int>>().empty(); }));
  pool().shutdown({.cancel_pending = true});
  std::size_t finished = 0;
  for (const auto& future : futures) {
    ASSERT_TRUE(future.ready());
    finished += future.cancelled() ? 0 : 1;
  }
  EXPECT_EQ(finished, file.numbers<std::vector<int>>().size());
  EXPECT_LT(finished, 50U);
}

std::atomic<int> owed = 0;  // callbacks, when run() returns

TEST(End, of_the_master_waits_for_what_was_submitted) {
  owed = 1;
  pool().submit(sleep_ms, 50).then([](int) { owed = 0; });
}

}  // namespace

int main(int argc, char** argv) {
  int status = run_cases(argc, argv, "-End.*");
  for (const char* name :
       {"End.close_lets_what_was_submitted_finish", "End.terminate_makes_what_is_left_ready_and_wakes_who_waits",
        "End.terminate_in_a_callback_works", "End.shutdown_that_cancels_finishes_what_runs",
        "End.of_the_master_waits_for_what_was_submitted"}) {
    status |= run_cases(argc, argv, name);
  }
  return owed == 0 ? status : EXIT_FAILURE;
}
