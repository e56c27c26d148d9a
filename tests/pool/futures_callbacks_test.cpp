// Callbacks of calls that nobody waits for.
#include "pool/gate.hpp"
#include "pool/pool_test.hpp"

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;
using rankpool::Future;

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

}  // namespace
