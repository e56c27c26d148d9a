// Calls that nobody waits for, on pools whose tasks run in the test's own threads.
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "manual_calls.hpp"
#include "serial_runner.hpp"
#include "task/this_task.hpp"
#include "tasks.hpp"

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Future;
using rankpool::Pool;

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
    Pool pool = reversed_pool(3);
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
  Pool pool = reversed_pool(3);
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
  Pool pool = reversed_pool(3);
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
