// What becomes of futures when their pool ends; each case has a pool of its own.
#include "pool/pool_test.hpp"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::CancelledError;
using rankpool::Future;
using Clock = std::chrono::steady_clock;

TEST(End, close_lets_what_was_submitted_finish) {
  std::atomic<int> callbacks = 0;
  std::vector<Future<int>> futures;
  for (int i = 0; i < 20; ++i) futures.push_back(pool().submit(sleep_ms, 10).then([&](int) { ++callbacks; }));
  pool().close();
  EXPECT_THROW((void)pool().submit(square, 1), rankpool::PoolClosed);
  pool().join();
  EXPECT_EQ(callbacks, 20);
  for (const auto& future : futures) EXPECT_EQ(future.get(), 10);
}

TEST(End, terminate_makes_what_is_left_ready_and_wakes_who_waits) {
  std::vector<Future<int>> futures;
  std::atomic<int> errors = 0;
  for (int i = 0; i < 50; ++i) {
    futures.push_back(pool().submit(sleep_ms, 10'000).then({}, [&](const std::exception_ptr&) { ++errors; }));
  }
  std::jthread waiter([&] { EXPECT_THROW((void)futures.back().get(), CancelledError); });
  std::this_thread::sleep_for(50ms);
  const auto start = Clock::now();
  pool().terminate();
  for (const auto& future : futures) EXPECT_THROW((void)future.get(5s), CancelledError);
  waiter.join();
  EXPECT_LT(Clock::now() - start, 5s);
  EXPECT_EQ(errors, 50);
}

TEST(End, terminate_in_a_callback_works) {
  pool().submit(sleep_ms, 50).then([](int) { pool().terminate(); });
  const auto slow = pool().submit(sleep_ms, 10'000);
  EXPECT_THROW((void)slow.get(5s), CancelledError);
}

TEST(End, shutdown_that_cancels_finishes_what_runs) {
  const ScratchFile file;
  const auto task = [](const std::string& path) {
    append_line(path, "1");
    sleep_ms(50);
  };
  std::vector<Future<void>> futures;
  for (int i = 0; i < 50; ++i) futures.push_back(pool().submit(task, file.path()));
  ASSERT_TRUE(eventually([&] { return !file.numbers<std::vector<int>>().empty(); }));
  pool().shutdown({.cancel_pending = true});
  std::size_t finished = 0;
  for (const auto& future : futures) {
    ASSERT_TRUE(future.ready());
    finished += future.cancelled() ? 0 : 1;
  }
  EXPECT_EQ(finished, file.numbers<std::vector<int>>().size());
  EXPECT_LT(finished, 50U);
}

std::atomic<int> owed = 0;  // callbacks, when run() returns

TEST(End, of_the_master_waits_for_what_was_submitted) {
  owed = 1;
  pool().submit(sleep_ms, 50).then([](int) { owed = 0; });
}

}  // namespace

int main(int argc, char** argv) {
  int status = run_cases(argc, argv, "-End.*");
  for (const char* name :
       {"End.close_lets_what_was_submitted_finish", "End.terminate_makes_what_is_left_ready_and_wakes_who_waits",
        "End.terminate_in_a_callback_works", "End.shutdown_that_cancels_finishes_what_runs",
        "End.of_the_master_waits_for_what_was_submitted"}) {
    status |= run_cases(argc, argv, name);
  }
  return owed == 0 ? status : EXIT_FAILURE;
}
