// Futures in the order in which they become ready.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "manual_calls.hpp"
#include "tasks.hpp"

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::as_completed;
using rankpool::Future;

namespace {

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
