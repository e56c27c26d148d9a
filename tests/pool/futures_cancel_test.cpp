// Cancelling calls that nobody waits for.
#include "pool/gate.hpp"
#include "pool/pool_test.hpp"

#include <chrono>
#include <exception>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;

TEST(Cancel, of_a_call_that_waits_works_and_may_be_repeated) {
  Busy busy;
  const auto future = pool().submit(square, 3);
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(future.cancel());
  EXPECT_TRUE(future.cancelled());
  EXPECT_THROW((void)future.get(), CancelledError);
}

TEST(Cancel, of_a_call_that_runs_or_has_ended_does_not) {
  {
    Busy busy;
    EXPECT_TRUE(busy.one().running());
    EXPECT_FALSE(busy.one().cancel());
    busy.release();
  }
  const auto future = pool().submit(square, 3);
  EXPECT_EQ(future.get(), 9);
  EXPECT_FALSE(future.running());
  EXPECT_FALSE(future.cancel());
  EXPECT_FALSE(future.cancelled());
}

TEST(Cancel, leaves_the_future_ready) {
  for (int i = 0; i < 20; ++i) {
    const auto future = pool().map_async(sleep_ms, std::vector<int>(1000, 1));
    int told = 0;
    future.then([](const auto&) {}, [&](const std::exception_ptr&) { ++told; });
    std::this_thread::sleep_for(3ms);  // until the background thread drives
    EXPECT_TRUE(future.cancel());
    EXPECT_TRUE(future.ready());
    EXPECT_EQ(told, 1);
  }
}

TEST(Cancel, of_a_map_leaves_out_what_has_not_started) {
  const ScratchFile file;
  const auto task = [](const std::string& path, int i) {
    append_line(path, std::to_string(i));
    return sleep_ms(20);
  };
  const auto future = pool().map_async(rankpool::bind(task, file.path()), numbers(500), {.chunksize = 1});
  ASSERT_TRUE(eventually([&] { return !file.numbers<std::vector<int>>().empty(); }));
  EXPECT_TRUE(future.cancel());
  EXPECT_THROW((void)future.get(), CancelledError);
  EXPECT_EQ(pool().apply(square, 3), 9);
  EXPECT_LT(file.numbers<std::vector<int>>().size(), 400U);
}

}  // namespace
