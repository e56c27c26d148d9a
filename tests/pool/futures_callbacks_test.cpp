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
#include <utility>
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

TEST(FutureCallback, may_not_block_whether_its_future_was_ready_before_or_not) {
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

TEST(FutureCallback, may_walk_over_the_futures_that_are_ready_its_own_among_them) {
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

TEST(FutureCallback, may_not_block_in_a_callback_that_it_adds_to_a_ready_future) {
  bool refused = false;
  const Future<int> ready = pool().submit(square, 2);
  ready.wait();
  const Future<int> future = pool().submit(square, 3);
  future.then([&](int) { ready.then([&](int) { refused = is_refused([] { pool().apply(square, 2); }); }); });
  future.wait();
  EXPECT_TRUE(refused);
  EXPECT_EQ(pool().apply(square, 5), 25);
}

/// Looks into the pool when it is destroyed, if it comes from a task.
struct Farewell {
  Farewell() = default;
  explicit Farewell(int value) : from_task(value) {}
  Farewell(Farewell&& other) noexcept : from_task(std::exchange(other.from_task, 0)) {}
  Farewell& operator=(Farewell&& other) noexcept {
    from_task = std::exchange(other.from_task, 0);
    return *this;
  }
  Farewell(const Farewell&) = delete;
  Farewell& operator=(const Farewell&) = delete;
  ~Farewell() {
    if (from_task == 0 || rankpool::test::current_pool == nullptr) return;
    outcomes += is_refused([] { pool().apply(square, 2); }) ? 1 : 1000;
  }
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& from_task;
  }

  static inline std::atomic<int> outcomes = 0;  ///< in the master's process
  int from_task = 0;
};

Farewell make_farewell(int value) {
  sleep_ms(20);
  return Farewell(value);
}

TEST(FutureCallback, is_no_different_from_the_destructor_of_a_result_that_nobody_wants) {
  pool().submit(make_farewell, 42);
  EXPECT_TRUE(eventually([] { return Farewell::outcomes == 1; }));
  EXPECT_EQ(pool().apply(square, 3), 9);
}

TEST(FutureCallback, comes_while_a_thread_opens_and_drops_streams_without_a_pause) {
  std::atomic<bool> called = false;
  pool().submit(sleep_ms, 20).then([&](int) { called = true; });
  const auto end = std::chrono::steady_clock::now() + 20s;
  while (!called && std::chrono::steady_clock::now() < end) {
    const auto dropped = pool().imap(square, std::vector{1, 2, 3});
  }
  EXPECT_TRUE(called);
}

}  // namespace
