// Futures and their callbacks, on pools whose tasks run in the test's own threads.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <limits>
#include <list>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "manual_pool.hpp"
#include "serial_runner.hpp"
#include "task/this_task.hpp"

using namespace std::chrono_literals;
using rankpool::Future;
using rankpool::Pool;
using rankpool::test::ManualPool;
using rankpool::test::Seen;
using rankpool::test::SerialRunner;

namespace {

Pool serial_pool() { return Pool(std::make_shared<SerialRunner>()); }
Pool reversed_pool() { return Pool(std::make_shared<SerialRunner>(std::make_shared<Seen>(), true, 3)); }

/// A pool whose calls are numbered from 1.
struct Manual {
  std::shared_ptr<ManualPool> core = std::make_shared<ManualPool>();
  Pool pool{core};
};

int square(int x) { return x * x; }
double power(double base, int exponent) {
  double product = 1;
  for (int i = 0; i < exponent; ++i) product *= base;
  return product;
}
std::string shout(const std::string& text) { return text + "!"; }
int odd_only(int x) {
  if (x % 2 == 0) throw std::out_of_range(std::to_string(x) + " is even");
  return x;
}
void nothing(int /*x*/) {}
std::unique_ptr<int> boxed(int x) { return std::make_unique<int>(x); }

struct Point {
  int x = 0;
  int y = 0;
};
int norm1(const Point& p) { return p.x + p.y; }

/// Result type without a default constructor.
class Parity {
 public:
  explicit Parity(int of) : odd_(of % 2 != 0) {}
  [[nodiscard]] bool odd() const { return odd_; }

 private:
  bool odd_;
};

std::string text_of(const std::exception_ptr& error) { return rankpool::detail::text_of(error); }

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

/// How many there are.
struct Counted {
  explicit Counted(int v = 0) : value(v) { ++alive; }
  Counted(const Counted& other) : value(other.value) { ++alive; }
  Counted& operator=(const Counted&) = default;
  ~Counted() { --alive; }

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& value;
  }

  int value;
  static inline std::atomic<int> alive = 0;
};

struct CountedTask {
  Counted state;
  Counted operator()(const Counted& argument) const {
    if (argument.value < 0) throw std::domain_error("negative");
    return Counted(argument.value + state.value);
  }
  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& state;
  }
};

}  // namespace

// --- calls ----------------------------------------------------------------------------------------------------------

TEST(AsyncCalls, apply_async_gives_what_apply_gives) {
  Pool pool = serial_pool();
  EXPECT_EQ(pool.apply_async(square, 5).get(), pool.apply(square, 5));
  EXPECT_EQ(pool.submit(power, 2, 10).get(), 1024);
  EXPECT_EQ(pool.apply_async([] { return 7; }).get(), 7);
  EXPECT_EQ(pool.apply_async(shout, "hey").get(), "hey!");
  EXPECT_TRUE(pool.apply_async([](bool b) { return !b; }, false).get());
  EXPECT_EQ(pool.apply_async(rankpool::bind(power, 3.0), 2).get(), 9);
  EXPECT_EQ(pool.apply_async(rankpool::fn<square>, 4).get(), 16);
  EXPECT_TRUE(pool.apply_async(&Parity::odd, Parity(3)).get());
  EXPECT_EQ(pool.apply_async([](std::vector<int> v) { return v; }, std::vector{1, 2}).get(), (std::vector{1, 2}));
  EXPECT_EQ(error_of([&] { (void)pool.apply_async(odd_only, 4).get(); }), "4 is even");
  static_assert(std::is_same_v<decltype(pool.apply_async(square, 5)), rankpool::AsyncResult<int>>);
}

TEST(AsyncCalls, map_async_gives_what_map_gives) {
  for (const int chunksize : {0, 1, 6, 20, 30}) {
    Pool pool = reversed_pool();
    const std::vector<int> inputs{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
    const rankpool::MapOptions options{.chunksize = chunksize};
    const std::vector<int> expected = pool.map(square, inputs, options);
    EXPECT_EQ(pool.map_async(square, inputs, options).get(), expected);
    EXPECT_EQ(pool.map_async(square, std::list<int>(inputs.begin(), inputs.end()), options).get(), expected);
    EXPECT_EQ(pool.map_async(square, std::views::iota(0, 20), options).get(), expected);
    EXPECT_EQ(pool.map_async(std::multiplies<int>(), inputs, std::views::iota(0), options).get(), expected);
  }
}

TEST(AsyncCalls, up_to_six_ranges_are_zipped) {
  Pool pool = serial_pool();
  const std::vector<int> v{1, 2};
  const auto sum = [](auto... each) { return (each + ...); };
  EXPECT_EQ(pool.map_async(sum, v, v, v).get(), (std::vector<int>{3, 6}));
  EXPECT_EQ(pool.map_async(sum, v, v, v, v).get(), (std::vector<int>{4, 8}));
  EXPECT_EQ(pool.map_async(sum, v, v, v, v, v).get(), (std::vector<int>{5, 10}));
  EXPECT_EQ(pool.map_async(sum, v, v, v, v, v, v, {.chunksize = 1}).get(), (std::vector<int>{6, 12}));
}

TEST(AsyncCalls, starmap_async_gives_what_starmap_gives) {
  Pool pool = reversed_pool();
  const std::vector<double> expected{1, 4, 27, 256};
  const std::vector<std::pair<double, int>> pairs{{1, 1}, {2, 2}, {3, 3}, {4, 4}};
  EXPECT_EQ(pool.starmap_async(power, pairs).get(), expected);
  EXPECT_EQ(pool.starmap_async(power, std::list<std::tuple<double, int>>{{1, 1}, {2, 2}}, {.chunksize = 1}).get(),
            (std::vector<double>{1, 4}));
  EXPECT_EQ(pool.starmap_async(power, {{2, 2}, {3, 3}}).get(), (std::vector<double>{4, 27}));
  EXPECT_EQ(pool.starmap_async(power, {std::pair{2.0, 2}}).get(), (std::vector<double>{4}));
}

TEST(AsyncCalls, brace_lists_are_mapped) {
  Pool pool = serial_pool();
  EXPECT_EQ(pool.map_async(square, {1, 2, 3}).get(), (std::vector<int>{1, 4, 9}));
  EXPECT_EQ(pool.map_async(shout, {"a", "b"}, {.chunksize = 2}).get(), (std::vector<std::string>{"a!", "b!"}));
  EXPECT_EQ(pool.map_async(norm1, {{1, 2}, {3, 4}}).get(), (std::vector<int>{3, 7}));
}

TEST(AsyncCalls, all_kinds_of_results_work) {
  Pool pool = reversed_pool();
  static_assert(std::is_same_v<decltype(pool.map_async(nothing, {1})), Future<void>>);
  static_assert(std::is_same_v<decltype(pool.apply_async(nothing, 1)), Future<void>>);
  pool.apply_async(nothing, 1).get();
  const Future<void> maps = pool.map_async(nothing, {1, 2});
  maps.get();
  maps.get(1s);
  EXPECT_TRUE(maps.successful());
  EXPECT_EQ(*pool.apply_async(boxed, 8).get(), 8);
  const std::vector<std::unique_ptr<int>> boxes = pool.map_async(boxed, {4, 5, 6}).get();
  EXPECT_EQ(*boxes.at(2), 6);
  EXPECT_TRUE(pool.apply_async([](int x) { return Parity(x); }, 3).get().odd());
  EXPECT_FALSE(pool.map_async([](int x) { return Parity(x); }, {1, 2}).get().at(1).odd());
  EXPECT_EQ(pool.map_async([](int x) { return x > 1; }, {1, 2}).get(), (std::vector<bool>{false, true}));
  EXPECT_THROW(pool.map_async([](int x) { (void)odd_only(x); }, {1, 2}).get(), std::out_of_range);
}

TEST(AsyncCalls, an_empty_input_is_ready_and_calls_back_once) {
  Manual manual;
  int calls = 0;
  Future<std::vector<int>> future = manual.pool.map_async(square, std::vector<int>{});
  EXPECT_TRUE(future.ready());
  future.then([&](const std::vector<int>& results) { calls += results.empty() ? 1 : 100; });
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(future.get().empty());
  EXPECT_TRUE(manual.pool.starmap_async(power, std::vector<std::pair<double, int>>{}).get().empty());
  manual.pool.map_async(nothing, std::vector<int>{}).then([&] { ++calls; }).get();
  EXPECT_EQ(calls, 2);
}

TEST(AsyncCalls, inputs_are_drawn_before_the_call_returns) {
  Manual manual;
  std::vector<int> inputs{1, 2, 3, 4, 5, 6, 7};
  const auto caller = std::this_thread::get_id();
  bool elsewhere = false;
  auto watched = inputs | std::views::transform([&](int x) {
                   elsewhere |= std::this_thread::get_id() != caller;
                   return x;
                 });
  const Future<std::vector<int>> first = manual.pool.map_async(square, inputs);
  const Future<std::vector<int>> second = manual.pool.map_async(square, watched);
  std::string word = "word";
  const Future<std::string> third = manual.pool.apply_async(shout, word);
  std::ranges::fill(inputs, 0);
  word = "changed";
  std::thread([&] {
    for (const std::uint64_t call : {1U, 2U, 3U}) manual.core->run_all(call);
  }).join();
  EXPECT_EQ(first.get(), (std::vector<int>{1, 4, 9, 16, 25, 36, 49}));
  EXPECT_EQ(second.get(), first.get());
  EXPECT_EQ(third.get(), "word!");
  EXPECT_FALSE(elsewhere);
}

TEST(AsyncCalls, what_a_range_throws_is_thrown_by_the_call_which_is_dropped) {
  Manual manual;
  for (const int bad : {0, 3, 7}) {
    for (int times = 0; times < 2; ++times) {
      const auto broken = std::views::iota(0, 10) | std::views::transform([bad](int i) {
                            if (i == bad) throw std::domain_error("no item " + std::to_string(i));
                            return i;
                          });
      EXPECT_EQ(error_of([&] { (void)manual.pool.map_async(square, broken); }), "no item " + std::to_string(bad));
      EXPECT_EQ(manual.core->open_calls(), 0U);
    }
  }
  EXPECT_EQ(serial_pool().map_async(square, {3}).get().front(), 9);
}

TEST(AsyncCalls, a_call_tells_its_options_and_its_name) {
  const auto seen = std::make_shared<Seen>();
  Pool pool(std::make_shared<SerialRunner>(seen));
  (void)pool.map_async(square, {1, 2}, {.chunksize = 7, .timeout = 1500ms});
  EXPECT_EQ(seen->spec->what, "map_async");
  EXPECT_EQ(seen->spec->chunksize, 7U);
  EXPECT_EQ(seen->spec->timeout->count(), 1.5);
  EXPECT_EQ(seen->size, 2U);
  (void)pool.starmap_async(power, {{2, 2}});
  EXPECT_EQ(seen->spec->what, "starmap_async");
  (void)pool.submit(square, 1);
  EXPECT_EQ(seen->spec->what, "submit");
  (void)pool.apply_async(square, 1);
  EXPECT_EQ(seen->spec->what, "apply_async");
  EXPECT_EQ(seen->size, 1U);
  EXPECT_THROW((void)pool.map_async(square, {1}, {.chunksize = -1}), std::invalid_argument);
}

TEST(AsyncCalls, a_closed_pool_takes_none) {
  Pool pool = serial_pool();
  pool.close();
  EXPECT_EQ(error_of([&] { (void)pool.apply_async(square, 1); }), "Pool not running");
  EXPECT_EQ(error_of([&] { (void)pool.map_async(square, {1}); }), "Pool not running");
}

TEST(AsyncCalls, inside_a_task_they_are_refused_by_name) {
  Pool pool = serial_pool();
  const rankpool::task::TaskContext context;
  const rankpool::task::CurrentTask inside(context);
  const auto refused = [](const std::string& text, const std::string& name) {
    EXPECT_NE(text.find(name), std::string::npos) << text;
  };
  refused(error_of([&] { (void)pool.apply_async(square, 1); }), "apply_async");
  refused(error_of([&] { (void)pool.submit(square, 1); }), "submit");
  refused(error_of([&] { (void)pool.map_async(square, {1}); }), "map_async");
  refused(error_of([&] { (void)pool.starmap_async(power, {{1, 1}}); }), "starmap_async");
}

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

// --- callbacks ------------------------------------------------------------------------------------------------------

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

// --- lifetimes ------------------------------------------------------------------------------------------------------

TEST(Lifetimes, arguments_and_callables_are_released_once_used) {
  ASSERT_EQ(Counted::alive, 0);
  Manual manual;
  const auto start = [&](int argument) { return manual.pool.apply_async(CountedTask{Counted(1)}, Counted(argument)); };
  const Future<Counted> good = start(5);
  const Future<Counted> bad = start(-1);
  const Future<Counted> dropped = start(7);
  EXPECT_EQ(Counted::alive, 3);  // the callables on their way
  manual.core->run_all(1);
  EXPECT_EQ(Counted::alive, 3);  // one of them has become a result
  EXPECT_EQ(good.get().value, 6);
  manual.core->run_all(2);
  EXPECT_EQ(Counted::alive, 2);
  EXPECT_TRUE(dropped.cancel());
  EXPECT_EQ(Counted::alive, 1);
}

TEST(Lifetimes, a_result_lives_as_long_as_a_handle_on_it) {
  ASSERT_EQ(Counted::alive, 0);
  Pool pool = serial_pool();
  const auto make = [](int x) { return Counted(x); };
  {
    Future<Counted> future = pool.apply_async(make, 3);
    const Future<Counted> copy = future;
    future = {};
    EXPECT_EQ(Counted::alive, 1);
    EXPECT_EQ(copy.get().value, 3);
  }
  EXPECT_EQ(Counted::alive, 0);
  {
    Future<std::vector<Counted>> future = pool.map_async(make, {1, 2, 3});
    EXPECT_EQ(Counted::alive, 3);
    {
      const std::vector<Counted> moved = std::move(future).get();
      EXPECT_EQ(Counted::alive, 3);
    }
    EXPECT_EQ(Counted::alive, 0);
  }
  pool.apply_async(make, 3);
  EXPECT_EQ(Counted::alive, 0);
}

TEST(Lifetimes, results_that_nobody_will_get_are_released) {
  ASSERT_EQ(Counted::alive, 0);
  Manual manual;
  const auto make = [](int x) {
    if (x == 3) throw std::domain_error("three");
    return Counted(x);
  };
  const auto failed = manual.pool.map_async(make, {1, 2, 3});
  const auto cancelled = manual.pool.map_async(make, {1, 2, 4});
  manual.core->run_one(1);
  manual.core->run_one(2);
  EXPECT_EQ(Counted::alive, 2);
  manual.core->run_all(1);
  EXPECT_EQ(Counted::alive, 1);
  cancelled.cancel();
  EXPECT_EQ(Counted::alive, 0);
  EXPECT_THROW((void)failed.get(), std::domain_error);
}

TEST(Lifetimes, a_callback_that_holds_its_own_future_does_not_keep_it) {
  ASSERT_EQ(Counted::alive, 0);
  Manual manual;
  {
    const Future<Counted> future = manual.pool.apply_async([](int x) { return Counted(x); }, 3);
    future.then([future](const Counted& result) { EXPECT_EQ(result.value, future.get().value); });
  }
  manual.core->run_all(1);
  EXPECT_EQ(Counted::alive, 0);
}
