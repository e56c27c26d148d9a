// Values and arrays: what one process writes all others see, wherever they are, and no step is lost or torn.
#include "pool/pool_test.hpp"
#include "pool/sudden_death.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Array;
using rankpool::Value;

/// No machine word; its parts always agree unless it is torn.
struct Account {
  std::uint64_t balance = 0;
  std::uint64_t copy = 0;
  std::uint32_t changes = 0;

  [[nodiscard]] bool agrees() const { return balance == copy; }
};

Account deposit(const Account& account) { return {account.balance + 1, account.copy + 1, account.changes + 1}; }

TEST(SharedValue, loses_no_increment_of_any_executor) {
  const Value<std::int64_t> counter = pool().value<std::int64_t>(7);
  const rankpool::Barrier all = pool().barrier(pool().processes());
  const std::int64_t each = 100'000 / pool().processes();
  const auto places = pool().map(
      [=](int) {
        all.wait();
        for (std::int64_t i = 0; i < each; ++i) counter.fetch_add(1);
        return std::pair(rankpool::this_task::rank(), rankpool::this_task::slot());
      },
      std::views::iota(0, pool().processes()), {.chunksize = 1});
  EXPECT_EQ(counter.get(), 7 + each * pool().processes());
  EXPECT_EQ(std::set(places.begin(), places.end()).size(), places.size());
}

TEST(SharedValue, is_updated_by_a_function_that_runs_where_it_is_called) {
  const Value<int> value = pool().value(0);
  const auto calls = pool().apply([value] {
    int here = 0;
    value.update([&](int before) {
      if (++here == 1) value.set(10);  // as another task might meanwhile
      return before + 1;
    });
    return here;
  });
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(value.get(), 11);
  EXPECT_THROW(value.update([](int) -> int { throw std::runtime_error("no"); }), std::runtime_error);
  EXPECT_EQ(value.get(), 11);
}

TEST(SharedValue, is_used_by_all_threads_of_a_task) {
  const Value<int> value = pool().value(0);
  const Array<int> array = pool().array<int>(4);
  pool().apply([=] {
    std::vector<std::jthread> threads;
    for (std::uint64_t thread = 0; thread < 4; ++thread) {
      threads.emplace_back([=] {
        for (int i = 0; i < 200; ++i) {
          value.fetch_add(1);
          array.fetch_add(thread, 1);
        }
      });
    }
  });
  EXPECT_EQ(value.get(), 800);
  EXPECT_EQ(array.get(), std::vector<int>(4, 200));
}

TEST(SharedValue, is_seen_by_tasks_as_the_master_has_set_it_and_by_the_master_as_they_have) {
  const auto value = pool().value(1.5);
  EXPECT_EQ(value.get(), 1.5);
  value.set(2.5);
  EXPECT_EQ(pool().apply([value] { return value.get(); }), 2.5);
  pool().apply([value] { value.set(-3.5); });
  EXPECT_EQ(value.get(), -3.5);
}

double take(Value<double> value, double amount) { return value.fetch_add(amount); }

TEST(SharedValue, travels_as_an_argument_in_a_tuple_and_in_bind) {
  const auto value = pool().value(0.0);
  const std::vector<std::tuple<Value<double>, double>> all(10, {value, 0.5});
  pool().starmap(take, all);
  EXPECT_EQ(value.get(), 5.0);
  EXPECT_EQ(pool().apply(take, value, 1.0), 5.0);
  pool().map(rankpool::bind([](Value<double> bound, int) { bound.fetch_add(1); }, value), {1, 2});
  EXPECT_EQ(value.get(), 8.0);
}

template <class T>
void expect_sums(T amount) {
  const auto value = pool().value<T>(T{});
  // Bound, because under a sanitizer some of the numbers are addresses of what it has mapped.
  const auto add = [](const Value<T>& to, T what, int) { to.fetch_add(what); };
  pool().map(rankpool::bind(add, value, amount), std::views::iota(0, 30));
  T sum{};
  for (int i = 0; i < 30; ++i) sum = static_cast<T>(sum + amount);
  EXPECT_EQ(value.get(), sum);
}

TEST(SharedValue, adds_numbers_of_every_type) {
  expect_sums<std::int8_t>(-7);
  expect_sums<std::uint8_t>(200);
  expect_sums<short>(-1000);
  expect_sums<unsigned short>(5000);
  expect_sums<int>(std::numeric_limits<int>::max() / 40);
  expect_sums<unsigned>(1u << 31);
  expect_sums<long long>(-5);
  expect_sums<unsigned long>(~0ul);
  expect_sums<float>(0.5f);
  expect_sums<double>(0.25);
  expect_sums<long double>(0.125L);
  expect_sums<char>(1);
}

TEST(SharedValue, compares_and_exchanges) {
  const auto value = pool().value(3);
  const auto exchange = [value](int expected, int desired) {
    const bool done = value.compare_exchange(expected, desired);
    return std::pair(done, expected);
  };
  EXPECT_EQ(pool().apply(exchange, 2, 5), std::pair(false, 3));
  EXPECT_EQ(pool().apply(exchange, 3, 5), std::pair(true, 3));
  EXPECT_EQ(value.get(), 5);
}

TEST(SharedValue, of_a_struct_is_updated_without_loss_and_never_torn) {
  const auto account = pool().value(Account{});
  const auto agreed = pool().map(
      [account](int) {
        const Account after = account.update(deposit);
        return after.agrees() && account.get().agrees();
      },
      std::views::iota(0, 2000));
  EXPECT_EQ(std::ranges::count(agreed, true), 2000);
  EXPECT_EQ(account.get().balance, 2000u);
  EXPECT_EQ(account.get().changes, 2000u);
}

TEST(SharedValue, of_a_struct_is_whole_after_executors_have_been_killed_amid_updates) {
  const auto account = pool().value(Account{});
  const auto acknowledged = pool().value<std::uint64_t>(0);
  const auto outcomes = pool().map_outcomes(
      [=](int i) {
        if (i % 5 == 0) die_after(std::chrono::microseconds(2000 + 37 * i));
        for (int step = 0; step < 300 || i % 5 == 0; ++step) {
          account.update(deposit);
          acknowledged.fetch_add(1);
        }
      },
      std::views::iota(0, 20), {.chunksize = 1, .max_attempts = 1});
  EXPECT_EQ(std::ranges::count_if(outcomes, [](const auto& outcome) { return !outcome.has_value(); }), 4);
  EXPECT_TRUE(account.get().agrees());
  // One that died between the two steps is missing in the second count.
  EXPECT_GE(account.get().balance, acknowledged.get());
  EXPECT_LE(account.get().balance, acknowledged.get() + 4);
}

TEST(SharedValue, holds_tuples_and_bools) {
  const auto flag = pool().value(false);
  const auto both = pool().value(std::tuple(1, 2.5));
  pool().apply([=] {
    flag.set(true);
    both.set({2, 3.5});
  });
  EXPECT_TRUE(flag.get());
  EXPECT_EQ(both.get(), std::tuple(2, 3.5));
}

TEST(SharedArray, is_written_and_read_by_element_by_slice_and_whole) {
  const Array<int> array = pool().array<int>(100, -1);
  EXPECT_EQ(array.size(), 100u);
  pool().map([array](int i) { array.set(static_cast<std::uint64_t>(i), square(i)); }, std::views::iota(0, 50));
  EXPECT_EQ(array.get(7), 49);
  EXPECT_EQ(array.get(48, 4), (std::vector{48 * 48, 49 * 49, -1, -1}));
  pool().apply([array] { array.put(98, std::vector{1, 2}); });
  const std::vector<int> all = pool().apply([array] { return array.get(); });
  ASSERT_EQ(all.size(), 100u);
  EXPECT_EQ(all[49], 49 * 49);
  EXPECT_EQ(all[97], -1);
  EXPECT_EQ(all[99], 2);
}

TEST(SharedArray, is_a_histogram_that_all_executors_fill) {
  const Array<long> histogram = pool().array<long>(10);
  pool().map([histogram](int i) { histogram.fetch_add(static_cast<std::uint64_t>(i % 10), 1); },
             std::views::iota(0, 5000));
  EXPECT_EQ(histogram.get(), std::vector<long>(10, 500));
}

TEST(SharedArray, takes_large_slices) {
  std::vector<double> values(300'000);
  std::iota(values.begin(), values.end(), 0.0);
  const Array<double> array = pool().array(values);
  const double sum = pool().apply([array] {
    const std::vector<double> all = array.get();
    array.put(100'000, std::vector<double>(100'000, 1.0));
    return std::accumulate(all.begin(), all.end(), 0.0);
  });
  EXPECT_EQ(sum, std::accumulate(values.begin(), values.end(), 0.0));
  EXPECT_EQ(array.get(99'999, 3), (std::vector{99'999.0, 1.0, 1.0}));
  EXPECT_EQ(array.get(199'999, 2), (std::vector{1.0, 200'000.0}));
}

TEST(SharedArray, takes_millions_of_elements_in_one_step) {
  const Array<char> array = pool().array<char>(4'000'000, 'a');
  EXPECT_EQ(pool().apply([array] {
    const std::vector<char> all = array.get();
    array.put(0, std::vector<char>(all.size(), 'b'));
    return std::ranges::count(all, 'a');
  }),
            4'000'000);
  EXPECT_EQ(std::ranges::count(array.get(), 'b'), 4'000'000);
}

TEST(SharedArray, of_structs_changes_element_by_element) {
  const Array<Account> accounts = pool().array<Account>(3);
  pool().map([accounts](int i) { accounts.update(static_cast<std::uint64_t>(i % 3), deposit); },
             std::views::iota(0, 300));
  for (const Account& account : accounts.get()) {
    EXPECT_EQ(account.balance, 100u);
    EXPECT_TRUE(account.agrees());
  }
}

TEST(SharedArray, refuses_what_is_beyond_its_end) {
  const Array<int> array = pool().array<int>(10);
  const auto text_of = [](const auto& use) -> std::string {
    try {
      use();
    } catch (const std::out_of_range& error) {
      return error.what();
    }
    return "no std::out_of_range";
  };
  EXPECT_EQ(text_of([&] { (void)array.get(10); }), "rankpool: Array::get(): there is no element 10 in an array of 10");
  EXPECT_EQ(text_of([&] { (void)array.get(8, 3); }),
            "rankpool: Array::get(): there are no 3 elements from element 8 on in an array of 10");
  EXPECT_THROW(array.put(9, std::vector{1, 2}), std::out_of_range);
  EXPECT_THROW(pool().apply([array] { array.set(10, 1); }), std::out_of_range);
  EXPECT_THROW(pool().apply([array] { return array.get(~std::uint64_t{0}, 2); }), std::out_of_range);
  EXPECT_THROW((void)pool().array<int>(-1), std::invalid_argument);
  EXPECT_TRUE(pool().array<int>(0).get().empty());
}

TEST(SharedArray, that_no_memory_holds_is_an_error_and_no_harm) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer ends programs that ask for so much";
#endif
  EXPECT_THROW((void)pool().array<double>(std::uint64_t{1} << 60), std::system_error);
  EXPECT_THROW((void)pool().array<double>(std::uint64_t{1} << 45), std::system_error);
  EXPECT_EQ(pool().value(1).get(), 1);
}

TEST(SharedValue, that_is_destroyed_is_an_error_in_tasks_and_in_the_master) {
  const auto value = pool().value(1);
  EXPECT_THROW(pool().apply([value] { value.destroy(); }), std::logic_error);
  value.destroy();
  EXPECT_THROW((void)value.get(), std::logic_error);
  EXPECT_THROW(pool().apply([value] { return value.get(); }), std::logic_error);
  EXPECT_THROW(value.destroy(), std::logic_error);
  EXPECT_EQ(pool().value(2).get(), 2);
}

TEST(SharedArray, that_is_destroyed_is_an_error_however_large_it_was) {
  const auto array = pool().array<double>(1'000'000);
  array.destroy();
  EXPECT_THROW((void)array.get(7), std::logic_error);
  EXPECT_THROW(pool().apply([array] { return array.get(7); }), std::logic_error);
  EXPECT_THROW(array.destroy(), std::logic_error);
}

std::size_t size_within(const Array<double>& array) {
  try {
    return array.get().size();
  } catch (const std::exception&) {
    return 0;
  }
}

TEST(SharedArray, that_a_task_has_no_memory_for_leaves_its_executor_with_all_others) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer needs memory of its own";
#endif
  const auto array = pool().array<double>(40'000'000);
  const auto small = pool().value(0);
  const auto sizes = pool().map(
      [=](int) {
        rlimit limit{};
        getrlimit(RLIMIT_DATA, &limit);
        const rlimit before = limit;
        limit.rlim_cur = std::size_t{100} << 20U;
        setrlimit(RLIMIT_DATA, &limit);
        const std::size_t size = size_within(array);
        setrlimit(RLIMIT_DATA, &before);
        small.fetch_add(1);
        return size;
      },
      std::views::iota(0, 4));
  EXPECT_EQ(sizes, std::vector<std::size_t>(4, 0));
  EXPECT_EQ(small.get(), 4);
  array.destroy();
}

TEST(SharedValue, that_nobody_made_is_an_error) {
  EXPECT_THROW((void)Value<int>().get(), std::logic_error);
  EXPECT_THROW(pool().apply([] { return Value<int>().get(); }), std::logic_error);
}

TEST(SharedValue, outlives_the_end_of_the_executors) {
  const auto value = pool().value(1);
  pool().apply([value] { value.set(5); });
  pool().close();
  pool().join();
  EXPECT_EQ(value.get(), 5);
  EXPECT_THROW((void)pool().value(1), rankpool::PoolClosed);
}

}  // namespace

// The last case ends the pool: it has one of its own. A task that is killed inline is the program.
int main(int argc, char** argv) {
  constexpr auto last = "SharedValue.outlives_the_end_of_the_executors";
  const std::string others = std::string("-") + last + (std::getenv("RANKPOOL_INLINE") != nullptr ? ":*killed*" : "");
  const int status = run_cases(argc, argv, others);
  return status != 0 ? status : run_cases(argc, argv, last);
}
