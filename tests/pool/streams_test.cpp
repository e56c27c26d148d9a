// Results one by one, while the call goes on.
#include "pool/pool_test.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ranges>
#include <set>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::TimeoutError;
using Clock = std::chrono::steady_clock;

int fail_at_thirds(int i) {
  if (i % 3 == 1) throw std::out_of_range("task " + std::to_string(i));
  return i;
}

template <class Stream>
std::vector<int> all_of(Stream stream) {
  std::vector<int> all;
  for (const int item : stream) all.push_back(item);
  return all;
}

// --- order -----------------------------------------------------------------------------------------------------------

TEST(Imap, yields_in_input_order_for_every_chunksize) {
  for (const int chunksize : {0, 1, 6, 20, 100, 1000, 1010}) {
    EXPECT_EQ(all_of(pool().imap(square, numbers(1000), {.chunksize = chunksize})), squares(1000)) << chunksize;
  }
}

TEST(Imap, unordered_yields_each_once) {
  for (const int chunksize : {0, 1, 100}) {
    auto all = all_of(pool().imap_unordered(square, numbers(1000), {.chunksize = chunksize}));
    std::ranges::sort(all);
    EXPECT_EQ(all, squares(1000)) << chunksize;
  }
}

TEST(Imap, unordered_yields_quick_ones_first) {
  if (pool().processes() < 2) return;
  auto stream = pool().imap_unordered(sleep_ms, {400, 1}, {.chunksize = 1});
  EXPECT_EQ(stream.next(), 1);
  EXPECT_EQ(stream.next(), 400);
}

std::int64_t time_of_start(int /*task*/) {
  const auto now = Clock::now().time_since_epoch().count();
  sleep_ms(10);
  return now;
}

// Each executor is with one task, and which of two gets the next one is open; a node that messages reach has a few
// inputs in store, so that its executors need not wait for them.
TEST(Imap, of_slow_tasks_starts_them_in_the_order_of_the_inputs) {
  const bool by_messages = std::getenv("RANKPOOL_TEST_NODES") != nullptr;
  const auto apart = static_cast<std::size_t>((by_messages ? 6 : 2) * pool().processes());
  const int tasks = static_cast<int>(apart) + 76;
  std::vector<std::int64_t> starts;
  for (const std::int64_t start : pool().imap(time_of_start, numbers(tasks), {.chunksize = 1})) starts.push_back(start);
  int overtaken = 0;
  for (std::size_t i = apart; i < starts.size(); ++i) overtaken += starts[i] < starts[i - apart] ? 1 : 0;
  EXPECT_LE(overtaken, 10) << "more than a busy machine explains, which lets a started executor wait";
}

TEST(Imap, of_tuples_unpacks_them) {
  const std::vector<std::pair<double, int>> inputs{{2, 3}, {3, 2}};
  auto stream = pool().istarmap(power, inputs);
  EXPECT_EQ(stream.next(), 8.0);
  EXPECT_EQ(stream.next(), 9.0);
  EXPECT_EQ(stream.next(), std::nullopt);
  std::multiset<double> unordered;
  for (const double item : pool().istarmap_unordered(power, inputs)) unordered.insert(item);
  EXPECT_EQ(unordered, (std::multiset<double>{8, 9}));
}

TEST(Imap, at_its_end_stays_there) {
  auto stream = pool().imap(square, {1, 2});
  EXPECT_EQ(stream.next(), 1);
  EXPECT_EQ(stream.next(), 4);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(stream.next(), std::nullopt);
  EXPECT_EQ(pool().imap(square, std::vector<int>()).next(), std::nullopt);
}

TEST(Imap, of_void_functions_tells_of_each_task) {
  auto stream = pool().imap([](int) {}, numbers(3));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(stream.next());
  EXPECT_FALSE(stream.next());
}

// --- laziness --------------------------------------------------------------------------------------------------------

TEST(Imap, draws_no_further_ahead_than_its_buffer) {
  for (const int buffersize : {1, 2, 40, 80}) {
    int drawn = 0;
    auto inputs = std::views::iota(0, 40) | std::views::transform([&drawn](int i) {
                    ++drawn;
                    return i;
                  });
    auto stream = pool().imap(square, inputs, {.buffersize = buffersize});
    for (int i = 0; i < 40; ++i) {
      ASSERT_EQ(stream.next(), i * i);
      EXPECT_LE(drawn, i + 1 + buffersize);
    }
    EXPECT_EQ(stream.next(), std::nullopt);
    EXPECT_EQ(drawn, 40);
  }
}

TEST(Imap, takes_endless_inputs) {
  int last = 0;
  for (const int item : pool().imap(square, std::views::iota(0))) {
    last = item;
    if (item >= 1000) break;
  }
  EXPECT_EQ(last, 1024);
  EXPECT_EQ(pool().apply(square, 3), 9);
}

TEST(Imap, dropped_early_cancels_what_has_not_started) {
  const ScratchFile file;
  const auto task = [](const std::string& path, int i) {
    append_line(path, std::to_string(i));
    return sleep_ms(5);
  };
  {
    auto stream = pool().imap(rankpool::bind(task, file.path()), numbers(1000), {.buffersize = 1000, .chunksize = 1});
    EXPECT_EQ(stream.next(), 5);
  }
  EXPECT_EQ(pool().map(square, numbers(100)), squares(100));
  EXPECT_LT(file.numbers<std::vector<int>>().size(), 900U);
}

auto slow_numbers(std::atomic<int>& drawn) {
  return std::views::iota(0, 1000) | std::views::transform([&drawn](int i) {
           sleep_ms(50);
           ++drawn;
           return i;
         });
}

TEST(Imap, gives_results_while_its_inputs_are_slow) {
  std::atomic<int> drawn = 0;
  auto stream = pool().imap(square, slow_numbers(drawn), {.buffersize = 1000});
  EXPECT_EQ(drawn, 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(stream.next(), i * i);
  EXPECT_LT(drawn, 100);  // 5 s
}

TEST(Imap, with_slow_inputs_keeps_to_the_time_that_next_may_take) {
  std::atomic<int> drawn = 0;
  const auto task = [](int) {
    while (!rankpool::this_task::stop_requested()) sleep_ms(1);
  };
  auto stream = pool().imap(task, slow_numbers(drawn), {.buffersize = 1000});
  const auto start = Clock::now();
  EXPECT_THROW((void)stream.next(20ms), TimeoutError);
  EXPECT_LT(Clock::now() - start, 5s);
}

// --- errors ----------------------------------------------------------------------------------------------------------

TEST(Imap, throws_a_tasks_error_at_its_place_and_goes_on) {
  for (const int chunksize : {0, 1, 4, 100}) {
    auto stream = pool().imap(fail_at_thirds, numbers(30), {.chunksize = chunksize});
    for (int i = 0; i < 30; ++i) {
      if (i % 3 == 1) {
        EXPECT_EQ(text_of_thrown<std::out_of_range>([&] { (void)stream.next(); }), "task " + std::to_string(i));
      } else {
        EXPECT_EQ(stream.next(), i);
      }
    }
    EXPECT_EQ(stream.next(), std::nullopt);
  }
}

TEST(Imap, as_outcomes_never_throws_for_a_task) {
  int i = 0;
  for (const auto& outcome : pool().imap(fail_at_thirds, numbers(30), {.chunksize = 7}).outcomes()) {
    EXPECT_EQ(outcome.has_value(), i % 3 != 1) << i;
    if (outcome) {
      EXPECT_EQ(*outcome, i);
    }
    ++i;
  }
  EXPECT_EQ(i, 30);
}

TEST(Imap, of_a_range_that_throws_gives_all_that_was_drawn_before) {
  for (const int bad : {0, 3, 7}) {
    auto inputs = std::views::iota(0, 20) | std::views::transform([bad](int i) {
                    if (i == bad) throw std::length_error("drawn");
                    return i;
                  });
    auto stream = pool().imap(square, inputs);
    for (int i = 0; i < bad; ++i) EXPECT_EQ(stream.next(), i * i);
    EXPECT_EQ(text_of_thrown<std::length_error>([&] { (void)stream.next(); }), "drawn");
    EXPECT_EQ(stream.next(), std::nullopt);
  }
  EXPECT_EQ(pool().apply(square, 3), 9);
}

TEST(Imap, next_times_out_and_can_be_asked_again) {
  for (const int chunksize : {1, 2}) {
    auto stream = pool().imap(sleep_ms, {300, 1}, {.chunksize = chunksize});
    EXPECT_THROW((void)stream.next(20ms), TimeoutError);
    EXPECT_EQ(stream.next(60s), 300);
    EXPECT_EQ(stream.next(60s), 1);
    EXPECT_EQ(stream.next(60s), std::nullopt);
  }
}

TEST(Imap, with_a_timeout_gives_what_came_before_it) {
  const auto task = [](int i) {
    while (i == 0 && !rankpool::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
    return i;
  };
  auto stream = pool().imap(task, {1, 1, 0}, {.chunksize = 1, .timeout = 500ms});
  EXPECT_EQ(stream.next(), 1);
  EXPECT_EQ(stream.next(), 1);
  EXPECT_THROW((void)stream.next(), TimeoutError);
  EXPECT_EQ(stream.next(), std::nullopt);
}

TEST(Imap, survives_a_crash_of_a_task) {
  const auto task = [](int i) {
    if (i == 5) _exit(3);
    return i;
  };
  int lost = 0;
  int values = 0;
  for (const auto& outcome : pool().imap(task, numbers(50), {.max_attempts = 1}).outcomes()) {
    if (outcome.has_value()) {
      ++values;
    } else {
      EXPECT_TRUE(is_a<rankpool::WorkerLost>(outcome.exception()));
      ++lost;
    }
  }
  EXPECT_EQ(lost, 1);
  EXPECT_EQ(values, 49);
}

// --- several streams, long streams -----------------------------------------------------------------------------------

TEST(Streams, may_feed_one_another) {
  auto first = pool().imap(square, numbers(2000), {.buffersize = 100});
  std::int64_t sum = 0;
  for (const int item : pool().imap([](int x) { return x + 1; }, first, {.buffersize = 100})) sum += item;
  std::int64_t expected = 0;
  for (const int item : squares(2000)) expected += item + 1;
  EXPECT_EQ(sum, expected);
}

TEST(Streams, go_on_beside_maps_of_other_threads) {
  std::jthread other([] {
    for (int i = 0; i < 10; ++i) EXPECT_EQ(pool().map(square, numbers(500)), squares(500));
  });
  EXPECT_EQ(all_of(pool().imap(square, numbers(3000), {.buffersize = 50})), squares(3000));
}

TEST(Streams, end_when_the_pool_is_terminated) {
  auto stream = pool().imap(sleep_ms, {1, 60'000, 60'000}, {.chunksize = 1});
  EXPECT_EQ(stream.next(), 1);
  pool().terminate();
  EXPECT_THROW((void)stream.next(), rankpool::CancelledError);
  EXPECT_EQ(stream.next(), std::nullopt);
}

}  // namespace

int main(int argc, char** argv) {
  const int status = run_cases(argc, argv, "-*terminated");
  return status | run_cases(argc, argv, "*terminated");
}
