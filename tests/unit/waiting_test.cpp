// Waiting for several futures, of pools whose tasks run in the test's own threads.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "manual_pool.hpp"

using namespace std::chrono_literals;
using rankpool::as_completed;
using rankpool::Future;
using rankpool::Pool;
using rankpool::wait;
using rankpool::When;
using rankpool::test::ManualPool;

namespace {

int square(int x) { return x * x; }
int odd_only(int x) {
  if (x % 2 == 0) throw std::out_of_range(std::to_string(x) + " is even");
  return x;
}

/// A pool, and futures of its calls 1, 2, 3, ...: the call's number is the task's argument.
template <class F>
struct Calls {
  explicit Calls(F f, int count) {
    for (int i = 1; i <= count; ++i) futures.push_back(pool.apply_async(f, i));
  }
  void run(std::initializer_list<std::uint64_t> calls) const {
    for (const std::uint64_t call : calls) core->run_all(call);
  }
  /// Runs calls in another thread, each a little later.
  std::thread run_later(std::vector<std::uint64_t> calls) const {
    return std::thread([core = core, calls = std::move(calls)] {
      for (const std::uint64_t call : calls) {
        std::this_thread::sleep_for(2ms);
        core->run_all(call);
      }
    });
  }

  std::shared_ptr<ManualPool> core = std::make_shared<ManualPool>();
  Pool pool{core};
  std::vector<Future<int>> futures;
};

/// The arguments of futures made by Calls of square.
template <class Futures>
std::vector<int> results_of(Futures&& futures) {
  std::vector<int> results;
  for (const Future<int>& future : futures) results.push_back(future.get());
  return results;
}

/// A result that shares something with `made` where it has arrived.
struct Marked {
  int value = 0;
  std::shared_ptr<int> marker = {};
  static inline std::vector<std::shared_ptr<int>> made;

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& value;
    if (Archive::is_loading::value) made.push_back(marker = std::make_shared<int>(value));
  }
};

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

template <class F>
double seconds_of(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

// --- wait -----------------------------------------------------------------------------------------------------------

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

// --- as_completed ---------------------------------------------------------------------------------------------------

TEST(AsCompleted, gives_those_that_are_ready_first_in_finishing_order) {
  const Calls calls(square, 5);
  calls.run({4, 2});
  auto range = as_completed(calls.futures);
  auto at = range.begin();
  EXPECT_EQ(*at, calls.futures[3]);
  ++at;
  EXPECT_EQ(*at, calls.futures[1]);
  calls.run({5, 1, 3});
  std::vector<int> rest;
  for (++at; at != range.end(); ++at) rest.push_back(at->get());
  EXPECT_EQ(rest, (std::vector<int>{25, 1, 9}));
}

TEST(AsCompleted, gives_each_as_it_becomes_ready) {
  const Calls calls(square, 4);
  std::thread runner = calls.run_later({3, 1, 4, 2});
  std::vector<int> results;
  for (const Future<int>& future : as_completed(calls.futures)) {
    EXPECT_TRUE(future.ready());
    results.push_back(future.get());
  }
  EXPECT_EQ(results, (std::vector<int>{9, 1, 16, 4}));
  runner.join();
}

TEST(AsCompleted, gives_duplicates_once_and_failures_too) {
  const Calls calls(odd_only, 3);
  calls.run({2, 3, 1});
  const Future<int>& a = calls.futures[0];
  const Future<int>& b = calls.futures[1];
  std::vector<Future<int>> given;
  for (const Future<int>& future : as_completed({a, b, a, b, b})) given.push_back(future);
  EXPECT_EQ(given, (std::vector{b, a}));
  EXPECT_FALSE(given.front().successful());
}

TEST(AsCompleted, of_nothing_is_empty) {
  auto none = as_completed(std::vector<Future<int>>{}, 10s);
  EXPECT_TRUE(none.begin() == none.end());
}

TEST(AsCompleted, tells_how_many_are_unfinished_when_the_time_has_passed) {
  const Calls calls(square, 4);
  calls.run({4, 1});
  std::vector<int> results;
  std::string text;
  const double seconds = seconds_of([&] {
    text = error_of([&] {
      for (const Future<int>& future : as_completed(calls.futures, 50ms)) results.push_back(future.get());
    });
  });
  EXPECT_EQ(text, "2 of 4 futures unfinished");
  EXPECT_EQ(results, (std::vector<int>{16, 1}));
  EXPECT_GE(seconds, 0.05);
  EXPECT_LT(seconds, 2);
  EXPECT_THROW((void)as_completed({calls.futures[1]}, 1ms).begin(), rankpool::TimeoutError);
}

TEST(AsCompleted, counts_its_time_from_the_call_and_gives_what_is_ready_after_it) {
  const Calls calls(square, 3);
  auto range = as_completed(calls.futures, 10ms);
  std::this_thread::sleep_for(20ms);
  calls.run({3, 2});
  auto at = range.begin();
  EXPECT_EQ(at->get(), 9);
  ++at;
  EXPECT_EQ(at->get(), 4);
  EXPECT_EQ(error_of([&] { ++at; }), "1 of 3 futures unfinished");
}

TEST(AsCompleted, goes_through_views) {
  const Calls calls(square, 3);
  calls.run({2, 3, 1});
  static_assert(std::ranges::input_range<rankpool::Completed<int>>);
  static_assert(std::ranges::view<rankpool::Completed<int>>);
  auto completed = as_completed(calls.futures);
  EXPECT_EQ(results_of(completed), (std::vector<int>{4, 9, 1}));
  std::vector<int> results;
  for (const int result : as_completed(calls.futures) | std::views::transform([](const auto& f) { return f.get(); })) {
    results.push_back(result);
  }
  EXPECT_EQ(results, (std::vector<int>{4, 9, 1}));
}

TEST(AsCompleted, needs_the_given_range_no_longer_and_releases_each_future_after_its_turn) {
  Calls calls(square, 3);
  std::vector<std::shared_ptr<int>>& made = Marked::made;
  made.clear();
  std::vector<Future<Marked>> futures;
  for (int i = 0; i < 3; ++i) futures.push_back(calls.pool.apply_async([](int x) { return Marked{x, {}}; }, i));
  calls.run({4, 5, 6});
  auto range = as_completed(std::exchange(futures, {}));
  std::size_t turn = 0;
  for (auto at = range.begin(); at != range.end(); ++at, ++turn) {
    for (std::size_t i = 0; i < made.size(); ++i) EXPECT_EQ(made[i].use_count(), i < turn ? 1 : 2);
  }
  EXPECT_EQ(turn, 3U);
  EXPECT_EQ(made[2].use_count(), 1);
}

TEST(AsCompleted, moved_from_is_at_its_end) {
  const Calls calls(square, 2);
  calls.run({2, 1});
  auto from = as_completed(calls.futures);
  EXPECT_EQ(from.begin()->get(), 4);
  auto to = std::move(from);
  EXPECT_TRUE(from.begin() == from.end());  // NOLINT(bugprone-use-after-move): what this is about
  EXPECT_EQ(results_of(to), (std::vector<int>{1}));
  to = as_completed(calls.futures);
  from = std::move(to);
  EXPECT_TRUE(to.begin() == to.end());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(results_of(from), (std::vector<int>{4, 1}));
}

namespace {

/// A call that never ends, and whose memory shows whether it is used after it has died: it is spoilt and kept.
class Unended final : public rankpool::detail::FutureState<int> {
 public:
  rankpool::detail::ResultSink& sink() override { throw std::logic_error("gives nothing"); }
  void finish(std::exception_ptr /*failure*/) noexcept override {}

  static void* operator new(std::size_t bytes) { return ::operator new(bytes); }
  static void operator delete(void* memory, std::size_t bytes) {
    std::memset(memory, spoilt, bytes);
    graves.emplace_back(static_cast<unsigned char*>(memory), bytes);
  }

  static constexpr unsigned char spoilt = 0xAB;
  static inline std::vector<std::pair<unsigned char*, std::size_t>> graves;
};

}  // namespace

TEST(AsCompleted, assigned_over_leaves_its_calls_before_they_die) {
  {
    auto range = as_completed({Future<int>(std::shared_ptr<rankpool::detail::FutureState<int>>(new Unended))});
    range = as_completed(std::vector<Future<int>>{});
    EXPECT_TRUE(range.begin() == range.end());
  }
  ASSERT_EQ(Unended::graves.size(), 1U);
  for (const auto& [memory, bytes] : Unended::graves) {
    EXPECT_TRUE(std::all_of(memory, memory + bytes, [](unsigned char byte) { return byte == Unended::spoilt; }));
    ::operator delete(memory);
  }
  Unended::graves.clear();
}

TEST(AsCompleted, may_be_left_early_while_futures_end) {
  for (int round = 0; round < 200; ++round) {
    const Calls calls(square, 10);
    std::thread runner([&] {
      for (std::uint64_t call = 1; call <= 10; ++call) calls.core->run_all(call);
    });
    int seen = 0;
    for (const Future<int>& future : as_completed(calls.futures)) {
      EXPECT_TRUE(future.ready());
      if (++seen == 3) break;
    }
    runner.join();
  }
}

TEST(AsCompleted, gives_each_once_when_the_calls_of_several_pools_end_at_once) {
  for (int round = 0; round < 30; ++round) {
    const Calls a(square, 30);
    const Calls b(square, 30);
    std::vector<Future<int>> all;
    for (std::size_t i = 0; i < 30; ++i) {
      all.push_back(a.futures[i]);
      all.push_back(b.futures[i]);
    }
    const auto run = [](const auto& calls) {
      for (std::uint64_t call = 30; call > 0; --call) calls.core->run_all(call);
    };
    std::thread run_a([&] { run(a); });
    std::thread run_b([&] { run(b); });
    std::vector<Future<int>> given;
    for (const Future<int>& future : as_completed(all)) {
      EXPECT_TRUE(future.ready());
      given.push_back(future);
    }
    run_a.join();
    run_b.join();
    EXPECT_TRUE(std::ranges::is_permutation(given, all));
    const auto place = [&](const Future<int>& future) { return std::ranges::find(given, future); };
    for (std::size_t i = 1; i < 30; ++i) EXPECT_LT(place(a.futures[i]), place(a.futures[i - 1]));
  }
}

TEST(AsCompleted, of_thirty_thousand_futures_takes_no_longer_per_future) {
  const auto seconds_for = [](int count) {
    const Calls calls(square, count);
    const auto start = std::chrono::steady_clock::now();
    auto range = as_completed(calls.futures);
    std::uint64_t call = 0;
    std::size_t seen = 0;
    calls.core->run_all(++call);
    for (auto at = range.begin(); at != range.end(); ++at) {
      ++seen;
      calls.core->run_all(++call);
    }
    EXPECT_EQ(seen, calls.futures.size());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const double few = std::max({seconds_for(1000), seconds_for(1000), seconds_for(1000)});
  EXPECT_LT(seconds_for(30'000), 30 * few * 10);  // a quadratic cost would be 30 * few * 30
}
