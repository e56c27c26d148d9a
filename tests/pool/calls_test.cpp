#include "pool/pool_test.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <forward_list>
#include <fstream>
#include <list>
#include <numeric>
#include <ranges>
#include <set>
#include <span>
#include <sstream>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::MapOptions;
using rankpool::Schedule;

long add3(int a, long b, short c) { return a + b + c; }
int sum6(int a, int b, int c, int d, int e, int f) { return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f; }
std::size_t length(const std::string& text) { return text.size(); }
std::uint64_t my_index(int /*unused*/) { return rankpool::this_task::index(); }
void write_number(const std::string& path, int number) { append_line(path, std::to_string(number)); }

// --- one task --------------------------------------------------------------------------------------------------------

TEST(Apply, gives_what_the_function_gives) {
  EXPECT_EQ(pool().apply(square, 5), 25);
  EXPECT_EQ(pool().apply(power, 2.0, 10), 1024.0);
  EXPECT_EQ(pool().apply([] { return 42; }), 42);
}

TEST(Apply, takes_arguments_that_convert_to_the_parameters) { EXPECT_EQ(pool().apply(power, 3, short{2}), 9.0); }

TEST(Apply, takes_string_literals) { EXPECT_EQ(pool().apply(length, "twelve chars"), 12U); }

TEST(Apply, of_a_void_function_returns_when_it_has_run) {
  const ScratchFile file;
  pool().apply(write_number, file.path(), 7);
  EXPECT_EQ(file.content(), "7\n");
}

TEST(Apply, works_a_thousand_times) {
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(pool().apply(square, i), i * i);
}

// --- order -----------------------------------------------------------------------------------------------------------

TEST(Map, keeps_input_order_for_every_chunksize) {
  for (const int n : {1, 2, 5, 20, 100, 1000}) {
    for (const int chunksize : {0, 1, 6, 20, n, n + 10}) {
      EXPECT_EQ(pool().map(square, numbers(n), {.chunksize = chunksize}), squares(n)) << n << ' ' << chunksize;
    }
  }
}

TEST(Map, keeps_input_order_for_every_schedule) {
  for (const Schedule schedule :
       {Schedule::automatic, Schedule::static_, Schedule::dynamic, Schedule::guided, Schedule::factoring}) {
    for (const int chunksize : {0, 3}) {
      EXPECT_EQ(pool().map(square, numbers(997), {.chunksize = chunksize, .schedule = schedule}), squares(997));
    }
  }
}

TEST(Map, keeps_input_order_when_later_tasks_are_faster) {
  const auto slow_first = [](int i) {
    if (i % 10 == 0) std::this_thread::sleep_for(20ms);
    return i;
  };
  EXPECT_EQ(pool().map(slow_first, numbers(50), {.chunksize = 1}), numbers(50));
}

TEST(Map, of_ten_thousand_tasks_one_at_a_time) {
  EXPECT_EQ(pool().map(square, numbers(10000), {.chunksize = 1}), squares(10000));
}

TEST(Map, of_a_million_tasks) {
  const auto half = [](double x) { return x / 2; };
  std::vector<double> inputs(1'000'000);
  std::iota(inputs.begin(), inputs.end(), 0.0);
  std::vector<double> expected = inputs;
  for (double& x : expected) x /= 2;
  EXPECT_EQ(pool().map(half, inputs), expected);
}

TEST(Map, of_a_single_element) { EXPECT_EQ(pool().map(square, std::vector{7}), std::vector{49}); }

TEST(Map, of_fewer_tasks_than_executors) {
  for (int n = 1; n < 4; ++n) EXPECT_EQ(pool().map(square, numbers(n), {.chunksize = 1}), squares(n));
}

TEST(Map, of_nothing_gives_nothing) {
  EXPECT_EQ(pool().map(square, std::vector<int>{}), std::vector<int>{});
  EXPECT_EQ(pool().map(square, std::vector<int>{}, {.chunksize = 5}), std::vector<int>{});
  EXPECT_TRUE(pool().map(length, std::vector<std::string>{}).empty());
  EXPECT_TRUE(pool().map_outcomes(square, std::vector<int>{}).empty());
  EXPECT_TRUE(pool().starmap(power, std::vector<std::pair<double, int>>{}).empty());
  EXPECT_TRUE(pool().starmap_outcomes(power, std::vector<std::pair<double, int>>{}).empty());
  pool().map([](int) {}, std::vector<int>{});
  std::istringstream no_text;
  EXPECT_TRUE(pool().map(square, std::views::istream<int>(no_text)).empty());
}

TEST(Map, of_a_void_function_runs_each_task_once) {
  const ScratchFile file;
  pool().map(rankpool::bind(write_number, file.path()), numbers(500));
  const auto seen = file.numbers<std::multiset<int>>();
  EXPECT_EQ(seen.size(), 500U);
  EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), 500U);
}

TEST(Map, gives_bools) {
  const std::vector<bool> odd = pool().map([](int i) { return i % 2 == 1; }, numbers(101));
  ASSERT_EQ(odd.size(), 101U);
  for (std::size_t i = 0; i < odd.size(); ++i) EXPECT_EQ(odd[i], i % 2 == 1);
}

TEST(Map, tells_each_task_its_index) {
  std::vector<std::uint64_t> expected(1000);
  std::iota(expected.begin(), expected.end(), 0U);
  for (const int chunksize : {0, 1, 7, 2000}) {
    EXPECT_EQ(pool().map(my_index, std::vector<int>(1000), {.chunksize = chunksize}), expected);
  }
}

TEST(Map, from_several_threads_at_once) {
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 5; ++thread) {
    threads.emplace_back([thread] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(pool().map(square, numbers(100 * thread + i)), squares(100 * thread + i));
        EXPECT_EQ(pool().apply(square, i), i * i);
      }
    });
  }
}

TEST(Apply, does_not_wait_for_the_end_of_another_threads_long_map) {
  const ScratchFile applied_now;
  const auto nap = [](const std::string& no_more, int i) {
    if (std::ifstream(no_more).peek() == EOF) std::this_thread::sleep_for(10ms);
    return i;
  };
  std::atomic<bool> ended = false;
  std::jthread other([&] {
    (void)pool().map(rankpool::bind(nap, applied_now.path()), numbers(2000 * pool().processes()));  // 20 s
    ended = true;
  });
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(pool().apply(square, 3), 9);
  EXPECT_FALSE(ended);
  append_line(applied_now.path(), "now");
}

// --- ranges ----------------------------------------------------------------------------------------------------------

TEST(Ranges, of_every_kind_are_taken) {
  const std::vector<int> expected = squares(20);
  std::vector<int> vector = numbers(20);
  EXPECT_EQ(pool().map(square, std::span(vector)), expected);
  EXPECT_EQ(pool().map(square, std::span<const int>(vector)), expected);
  EXPECT_EQ(pool().map(square, std::list(vector.begin(), vector.end())), expected);
  EXPECT_EQ(pool().map(square, std::deque(vector.begin(), vector.end())), expected);
  EXPECT_EQ(pool().map(square, std::forward_list(vector.begin(), vector.end())), expected);
  EXPECT_EQ(pool().map(square, std::set(vector.begin(), vector.end())), expected);
  EXPECT_EQ(pool().map(square, std::views::iota(0, 20)), expected);
  EXPECT_EQ(pool().map(square, std::views::iota(0) | std::views::take(20)), expected);
  EXPECT_EQ(pool().map(square, vector | std::views::filter([](int) { return true; })), expected);
  EXPECT_EQ(pool().map(square, std::views::iota(-20, 0) | std::views::transform([](int i) { return i + 20; })),
            expected);
  const int array[] = {0, 1, 2};
  EXPECT_EQ(pool().map(square, array), squares(3));
  EXPECT_EQ(pool().map(square, std::array{0, 1, 2}), squares(3));
  EXPECT_EQ(pool().map(square, std::views::single(2)), std::vector{4});
}

TEST(Ranges, of_one_pass_and_unknown_length_are_taken) {
  std::stringstream text;
  for (int i = 0; i < 1000; ++i) text << i << ' ';
  EXPECT_EQ(pool().map(square, std::views::istream<int>(text)), squares(1000));
}

TEST(Ranges, of_bools_are_taken) {
  EXPECT_EQ(pool().map([](bool b) { return b ? 1 : 0; }, std::vector{true, false, true}), (std::vector{1, 0, 1}));
}

TEST(Ranges, are_not_moved_from) {
  std::vector<std::string> texts(10, "a text that is longer than a small string");
  const auto copy = texts;
  EXPECT_EQ(pool().map(length, texts), std::vector<std::size_t>(10, texts.front().size()));
  EXPECT_EQ(texts, copy);
}

TEST(Ranges, are_walked_in_the_calling_thread) {
  const auto caller = std::this_thread::get_id();
  const auto here = std::views::iota(0, 5000) |
                    std::views::transform([caller](int i) { return std::this_thread::get_id() == caller ? i : -1; });
  EXPECT_EQ(pool().map([](int i) { return i; }, here, {.chunksize = 1}), numbers(5000));
}

struct ItemFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

TEST(Ranges, that_throw_do_so_at_the_caller_and_the_pool_lives) {
  for (const int bad : {0, 3, 7, 700}) {
    const auto failing = std::views::iota(0, 1000) | std::views::transform([bad](int i) {
                           if (i == bad) throw ItemFailed("item " + std::to_string(i));
                           return i;
                         });
    for (int time = 0; time < 2; ++time) {
      try {
        (void)pool().map(square, failing);
        FAIL() << "nothing was thrown";
      } catch (const ItemFailed& error) {
        EXPECT_EQ(error.what(), "item " + std::to_string(bad));
        EXPECT_EQ(dynamic_cast<const rankpool::RemoteError*>(&error), nullptr);
      }
      EXPECT_EQ(pool().map(square, numbers(50)), squares(50));
    }
  }
}

// --- several ranges, lists, tuples -----------------------------------------------------------------------------------

TEST(Zip, ends_with_the_shortest_range) {
  const std::vector<double> bases{2, 3, 4};
  EXPECT_EQ(pool().map(power, bases, std::views::iota(2)), (std::vector<double>{4, 27, 256}));
  EXPECT_EQ(pool().map(power, bases, std::vector{1}), std::vector<double>{2});
  EXPECT_EQ(pool().map(power, bases, std::vector<int>{}), std::vector<double>{});
  EXPECT_EQ(pool().map(power, bases, std::list{1, 1, 1}, {.chunksize = 2}), bases);
}

TEST(Zip, takes_three_to_six_ranges) {
  const std::vector<long> bs{10, 20};
  EXPECT_EQ(pool().map(add3, std::array{1, 2}, bs, std::vector<short>{5, 6}), (std::vector<long>{16, 28}));
  const std::vector<int> ones(30, 1);
  EXPECT_EQ(pool().map(sum6, ones, ones, ones, ones, ones, ones), std::vector<int>(30, 21));
  const auto outcomes = pool().map_outcomes(add3, ones, ones, std::views::iota(short{0}, short{3}));
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_EQ(outcomes[2].value(), 4);
}

TEST(Lists, in_braces_are_taken) {
  EXPECT_EQ(pool().map(square, {1, 2, 3, 4}), (std::vector{1, 4, 9, 16}));
  EXPECT_EQ(pool().map(square, {3}, {.chunksize = 1}), std::vector{9});
  EXPECT_EQ(pool().map(length, {"one", "three"}), (std::vector<std::size_t>{3, 5}));
  EXPECT_EQ(pool().starmap(power, {{2, 2}, {3, 3}}), (std::vector<double>{4, 27}));
  EXPECT_EQ(pool().starmap(add3, {{1, 2, 3}, {4, 5, 6}}, {.chunksize = 1}), (std::vector<long>{6, 15}));
  EXPECT_EQ(pool().map_outcomes(square, {1, 2}).at(1).value(), 4);
  EXPECT_EQ(pool().starmap_outcomes(power, {{2, 2}, {3, 3}}).at(1).value(), 27);
}

TEST(Lists, of_lists_become_the_parameter) {
  const auto norm = [](const std::vector<double>& v) { return std::inner_product(v.begin(), v.end(), v.begin(), 0.0); };
  EXPECT_EQ(pool().map(norm, {{3.0, 4.0}, {1.0, 2.0, 2.0}}), (std::vector<double>{25, 9}));
}

TEST(Starmap, unpacks_tuples_pairs_and_arrays) {
  EXPECT_EQ(pool().starmap(power, std::vector<std::pair<double, int>>{{2, 3}, {5, 1}}), (std::vector<double>{8, 5}));
  EXPECT_EQ(pool().starmap(add3, std::vector<std::tuple<int, long, short>>{{1, 2, 3}}), std::vector<long>{6});
  EXPECT_EQ(pool().starmap(power, std::vector<std::array<int, 2>>{{2, 4}, {3, 2}}), (std::vector<double>{16, 9}));
  EXPECT_EQ(pool().starmap(sum6, std::vector<std::array<int, 6>>{{1, 1, 1, 1, 1, 1}}), std::vector{21});
  const auto repeated = [](const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  EXPECT_EQ(pool().starmap(repeated, std::map<std::string, int>{{"ab", 2}, {"c", 3}}),
            (std::vector<std::string>{"abab", "ccc"}));
}

TEST(Starmap, keeps_input_order_for_every_chunksize) {
  std::vector<std::pair<double, int>> inputs;
  std::vector<double> expected;
  for (int i = 0; i < 333; ++i) {
    inputs.emplace_back(i, 2);
    expected.push_back(i * i);
  }
  for (const int chunksize : {0, 1, 6, 20, 333, 343}) {
    EXPECT_EQ(pool().starmap(power, inputs, {.chunksize = chunksize}), expected);
  }
}

// --- options ---------------------------------------------------------------------------------------------------------

TEST(Counts, are_of_any_integer_type) {
  const std::vector<int> inputs = numbers(10);
  EXPECT_EQ(pool().map(square, inputs, {.chunksize = std::int8_t{2}}), squares(10));
  EXPECT_EQ(pool().map(square, inputs, {.chunksize = std::uint16_t{2}}), squares(10));
  EXPECT_EQ(pool().map(square, inputs, {.chunksize = inputs.size()}), squares(10));
  EXPECT_EQ(pool().map(square, inputs, {.chunksize = 2LL, .max_attempts = 1UL}), squares(10));
}

TEST(Counts, may_be_far_above_the_number_of_tasks) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  std::istringstream one_pass("0 1 2");
  for (const std::uint64_t chunksize : {std::uint64_t{4} << 30U, std::uint64_t{1} << 42U, most / 2, most}) {
    EXPECT_EQ(pool().map(square, numbers(10), {.chunksize = chunksize}), squares(10)) << chunksize;
    EXPECT_EQ(pool().map(length, {"one", "three"}, {.chunksize = chunksize}).back(), 5U) << chunksize;
  }
  EXPECT_EQ(pool().map(square, std::views::istream<int>(one_pass), {.chunksize = most}), squares(3));
}

TEST(Counts, that_are_negative_are_refused_by_name) {
  const auto text = text_of_thrown<std::invalid_argument>([] { (void)pool().map(square, {1}, {.chunksize = -3}); });
  EXPECT_TRUE(contains(text, "chunksize")) << text;
  EXPECT_TRUE(contains(text, "-3")) << text;
  EXPECT_TRUE(contains(
      text_of_thrown<std::invalid_argument>([] { (void)pool().map_outcomes(square, {1}, {.max_attempts = -1}); }),
      "max_attempts"));
  EXPECT_TRUE(contains(text_of_thrown<std::invalid_argument>([] {
                         (void)pool().starmap(power, {{2, 2}}, {.chunksize = std::int64_t{-9'000'000'000}});
                       }),
                       "-9000000000"));
  EXPECT_EQ(pool().apply(square, 3), 9);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TEST(Timeout, of_a_call_counts_from_its_start_and_leaves_the_pool_usable) {
  for (const double limit : {0.0, 0.05, 0.3}) {
    const auto start = std::chrono::steady_clock::now();
    const MapOptions options{.chunksize = 1, .timeout = rankpool::Seconds(limit)};
    EXPECT_THROW((void)pool().map(sleep_ms, std::vector<int>(100, 150), options), rankpool::TimeoutError);
    EXPECT_GE(seconds_since(start), limit);
    EXPECT_LE(seconds_since(start), limit + 2);
    EXPECT_EQ(pool().map(square, numbers(50)), squares(50));
  }
}

TEST(Timeout, that_does_not_pass_changes_nothing) {
  EXPECT_EQ(pool().map(square, numbers(100), {.timeout = 50s}), squares(100));
  EXPECT_EQ(pool().map(square, numbers(100), {.timeout = 50.5s}), squares(100));
}

TEST(Timeout, cancels_what_has_not_started) {
  const ScratchFile file;
  const auto task = [](const std::string& path, int i) {
    append_line(path, std::to_string(i));
    std::this_thread::sleep_for(50ms);
  };
  EXPECT_THROW(pool().map(rankpool::bind(task, file.path()), numbers(400), {.chunksize = 1, .timeout = 120ms}),
               rankpool::TimeoutError);
  EXPECT_EQ(pool().map(square, numbers(20)), squares(20));
  const auto started = file.numbers<std::vector<int>>().size();
  EXPECT_LT(started, 300U);
  std::this_thread::sleep_for(200ms);
  EXPECT_LE(file.numbers<std::vector<int>>().size(), started + static_cast<std::size_t>(pool().processes()));
}

TEST(Timeout, may_not_be_negative) {
  EXPECT_TRUE(contains(text_of_thrown<std::invalid_argument>([] { (void)pool().map(square, {1}, {.timeout = -1s}); }),
                       "timeout"));
}

// --- this_task -------------------------------------------------------------------------------------------------------

TEST(ThisTask, tells_where_it_runs) {
  const auto place = [](int /*unused*/) {
    return std::tuple(rankpool::this_task::rank(), rankpool::this_task::slot(), rankpool::this_task::host(),
                      rankpool::this_task::attempt());
  };
  std::set<std::pair<int, int>> places;
  for (const auto& [rank, slot, host, attempt] : pool().map(place, numbers(200), {.chunksize = 1})) {
    EXPECT_GE(rank, 0);
    EXPECT_GE(slot, 0);
    EXPECT_FALSE(host.empty());
    EXPECT_EQ(attempt, 1U);
    places.emplace(rank, slot);
  }
  EXPECT_LE(places.size(), static_cast<std::size_t>(pool().processes()));
}

TEST(ThisTask, is_an_error_outside_a_task) {
  EXPECT_THROW((void)rankpool::this_task::index(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::attempt(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::rank(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::slot(), std::logic_error);
  EXPECT_THROW((void)rankpool::this_task::host(), std::logic_error);
}

TEST(Future, asked_again_and_again_without_time_is_ready_some_time) {
  const auto future = pool().apply_async(square, 5);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!future.wait(std::chrono::seconds(0))) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  EXPECT_EQ(future.get(), 25);
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
