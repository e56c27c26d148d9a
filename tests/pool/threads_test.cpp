// Many threads at once on one pool, also while one of them ends it.
#include "pool/pool_test.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <latch>
#include <ranges>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;
using rankpool::Future;
using rankpool::PoolClosed;

constexpr int threads = 10;

int square_slowly(int x) {
  std::this_thread::sleep_for(2ms);
  return x * x;
}

int fail_at_thirds(int x) {
  if (x % 3 == 1) throw std::out_of_range("task " + std::to_string(x));
  return x * x;
}

/// Calls `work(thread)` in all threads at the same time; the pool's errors in one are failures.
void in_threads(const std::function<void(int)>& work) {
  std::latch start(threads);
  std::vector<std::jthread> all;
  for (int thread = 0; thread < threads; ++thread) {
    all.emplace_back([&, thread] {
      start.arrive_and_wait();
      try {
        work(thread);
      } catch (...) {
        ADD_FAILURE() << "thread " << thread << ": " << rankpool::detail::text_of(std::current_exception());
      }
    });
  }
}

/// Every call of the pool, in a turn that differs from thread to thread.
void call(int which) {
  switch (which % 8) {
    case 0:
      EXPECT_EQ(pool().map(square, numbers(150)), squares(150));
      break;
    case 1:
      EXPECT_EQ(pool().submit(square, which).get(), which * which);
      break;
    case 2: {
      const auto future = pool().submit(square, which);
      const bool cancelled = future.cancel();
      EXPECT_TRUE(future.wait(30s));
      EXPECT_EQ(future.cancelled(), cancelled);
      if (!cancelled) {
        EXPECT_EQ(future.get(), which * which);
      }
      break;
    }
    case 3: {
      int i = 0;
      for (const int result : pool().imap(square, std::views::iota(0), {.buffersize = 10})) {
        EXPECT_EQ(result, i * i);
        if (++i == 60) break;  // and drops the stream
      }
      break;
    }
    case 4: {
      std::vector<Future<int>> futures;
      for (int i = 0; i < 10; ++i) futures.push_back(pool().submit(square, i));
      EXPECT_FALSE(rankpool::wait(futures, rankpool::When::first_completed).done.empty());
      EXPECT_EQ(rankpool::wait(futures).done.size(), 10U);
      int seen = 0;
      for (const auto& future : rankpool::as_completed(futures)) seen += future.ready() ? 1 : 0;
      EXPECT_EQ(seen, 10);
      break;
    }
    case 5: {
      const auto outcomes = pool().map_outcomes(fail_at_thirds, numbers(30), {.chunksize = 4});
      for (int i = 0; i < 30; ++i) EXPECT_EQ(outcomes.at(static_cast<std::size_t>(i)).has_value(), i % 3 != 1);
      break;
    }
    case 6: {
      const auto future = pool().map_async(square, numbers(200), {.chunksize = 3});
      if (which % 3 == 0) {
        (void)future.cancel();
        future.wait();
        if (!future.cancelled()) {
          EXPECT_EQ(future.get(), squares(200));
        }
      } else {
        EXPECT_EQ(future.get(), squares(200));
      }
      break;
    }
    case 7: {
      auto stream = pool().imap_unordered(square, numbers(50), {.chunksize = 2});
      std::vector<int> all;
      while (const auto result = stream.next(30s)) all.push_back(*result);
      std::ranges::sort(all);
      EXPECT_EQ(all, squares(50));
      break;
    }
  }
}

TEST(Threads, make_all_calls_at_once) {
  in_threads([](int thread) {
    for (int i = 0; i < 24; ++i) call(thread + i);
  });
}

TEST(Threads, share_futures) {
  const auto one = pool().submit(square_slowly, 7);
  const auto many = pool().map_async(square_slowly, numbers(20), {.chunksize = 1});
  std::atomic<int> callbacks = 0;
  in_threads([&](int) {
    one.then([&](int value) { callbacks += value == 49 ? 1 : 100; });
    many.then([&](const std::vector<int>& values) { callbacks += values == squares(20) ? 1 : 100; });
    EXPECT_EQ(one.get(), 49);
    EXPECT_EQ(many.get(30s), squares(20));
    EXPECT_TRUE(many.ready());
    EXPECT_FALSE(many.running());
  });
  EXPECT_EQ(callbacks, 2 * threads);
}

TEST(Threads, cancel_the_same_futures) {
  std::vector<Future<int>> futures;
  for (int i = 0; i < 100; ++i) futures.push_back(pool().submit(square_slowly, i));
  std::vector<std::atomic<int>> cancelled(futures.size());
  in_threads([&](int) {
    for (std::size_t i = futures.size(); i-- > 0;) cancelled[i] += futures[i].cancel() ? 1 : 0;
  });
  for (std::size_t i = 0; i < futures.size(); ++i) {
    futures[i].wait();
    EXPECT_EQ(futures[i].cancelled(), cancelled[i] != 0) << i;
    if (!futures[i].cancelled()) {
      EXPECT_EQ(futures[i].get(), square(static_cast<int>(i)));
    }
  }
}

TEST(Threads, add_callbacks_that_make_calls) {
  std::atomic<int> sum = 0;
  in_threads([&](int) {
    std::vector<Future<int>> first;
    for (int i = 0; i < 20; ++i) {
      first.push_back(pool().submit(square, i).then(
          [&sum](int value) { (void)pool().submit(square, 1).then([&sum, value](int one) { sum += one + value; }); }));
    }
    EXPECT_EQ(rankpool::wait(first).done.size(), 20U);
  });
  int expected = 0;
  for (const int value : squares(20)) expected += threads * (value + 1);
  for (int i = 0; i < 2000 && sum != expected; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(sum, expected);
}

TEST(Threads, lose_only_their_own_tasks_to_crashes) {
  const auto die_at_7 = [](int i) {
    if (i == 7) _exit(3);
    return i * i;
  };
  in_threads([&](int thread) {
    for (int i = 0; i < 5; ++i) {
      if (thread % 5 == 0) {
        const auto outcomes = pool().map_outcomes(die_at_7, numbers(20), {.chunksize = 5, .max_attempts = 1});
        for (int task = 0; task < 20; ++task) {
          EXPECT_EQ(outcomes.at(static_cast<std::size_t>(task)).has_value(), task != 7);
        }
      } else {
        EXPECT_EQ(pool().map(square, numbers(100), {.chunksize = 5, .max_attempts = 1}), squares(100));
      }
    }
  });
}

// --- while the pool ends ---------------------------------------------------------------------------------------------

/// What became of the calls of many threads.
struct Tally {
  std::atomic<int> values = 0;
  std::atomic<int> cancelled = 0;
  std::atomic<int> callbacks = 0;  ///< both kinds
  std::atomic<int> futures = 0;
};

/// Makes one call. @throws PoolClosed, and no other error.
void call_and_count(Tally& tally, int which) {
  try {
    switch (which % 4) {
      case 0: {
        const auto future = pool().submit(square_slowly, which);
        ++tally.futures;
        future.then([&](int) { ++tally.callbacks; }, [&](const std::exception_ptr&) { ++tally.callbacks; });
        EXPECT_EQ(future.get(30s), which * which);
        break;
      }
      case 1:
        EXPECT_EQ(pool().map(square_slowly, numbers(5), {.chunksize = 1}), squares(5));
        break;
      case 2: {
        const auto future = pool().map_async(square_slowly, numbers(5));
        ++tally.futures;
        future.then([&](const auto&) { ++tally.callbacks; }, [&](const std::exception_ptr&) { ++tally.callbacks; });
        EXPECT_TRUE(future.wait(30s));
        EXPECT_EQ(future.get(), squares(5));
        break;
      }
      case 3: {
        int i = 0;
        for (const int result : pool().imap(square_slowly, numbers(5), {.buffersize = 2})) {
          EXPECT_EQ(result, i * i);
          ++i;
        }
        EXPECT_EQ(i, 5);
        break;
      }
    }
    ++tally.values;
  } catch (const CancelledError&) {
    ++tally.cancelled;
  }
}

/// Has threads make calls until the pool is closed, which `end` does; each call ends with its results, CancelledError
/// or PoolClosed.
void end_in_the_midst(Tally& tally, const std::function<void()>& end) {
  std::jthread ender([&] {
    while (tally.values < 3 * threads) std::this_thread::sleep_for(1ms);
    end();
  });
  in_threads([&](int thread) {
    try {
      for (int i = thread;; ++i) call_and_count(tally, i);
    } catch (const PoolClosed&) {
    }
  });
  ender.join();
  for (int i = 0; i < 2000 && tally.callbacks != tally.futures; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(tally.callbacks, tally.futures);
  EXPECT_THROW((void)pool().submit(square, 1), PoolClosed);
}

TEST(End, terminate_in_the_midst_ends_every_call) {
  Tally tally;
  end_in_the_midst(tally, [] { pool().terminate(); });
  pool().join();
}

TEST(End, close_in_the_midst_cancels_nothing) {
  Tally tally;
  end_in_the_midst(tally, [] {
    pool().close();
    pool().join();
  });
  EXPECT_EQ(tally.cancelled, 0);
}

TEST(End, shutdown_in_the_midst_ends_every_call) {
  Tally tally;
  end_in_the_midst(tally, [] { pool().shutdown({.cancel_pending = true}); });
}

TEST(End, terminate_by_all_threads_is_done_once) {
  const auto slow = pool().map_async(square_slowly, numbers(10'000), {.chunksize = 1});
  in_threads([](int thread) {
    if (thread % 2 == 0) {
      pool().terminate();
    } else {
      pool().close();
    }
    pool().join();
  });
  EXPECT_TRUE(slow.ready());
  EXPECT_TRUE(slow.cancelled());
}

}  // namespace

int main(int argc, char** argv) {
  int status = run_cases(argc, argv, "Threads.*");
  for (const char* name : {"End.terminate_in_the_midst_ends_every_call", "End.close_in_the_midst_cancels_nothing",
                           "End.shutdown_in_the_midst_ends_every_call", "End.terminate_by_all_threads_is_done_once"}) {
    status |= run_cases(argc, argv, name);
  }
  return status;
}
