// What keeps arguments, callables, results and callbacks alive.
#include <stdexcept>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "counting.hpp"
#include "manual_calls.hpp"
#include "serial_runner.hpp"
#include "tasks.hpp"

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::Future;
using rankpool::Pool;

namespace {

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
