// Calls whose pool is being destroyed in another thread, which ends them.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

#include <rankpool/detail/future_call.hpp>
#include <rankpool/future.hpp>
#include <rankpool/waiting.hpp>

namespace {

using namespace std::chrono_literals;
using rankpool::Future;
using Call = rankpool::detail::ApplyCall<int>;

void end(Call& call) {
  call.finish(std::make_exception_ptr(rankpool::CancelledError("the pool was terminated")));
  call.call_back();
  call.set_done();
}

TEST(CallOfALostPool, is_waited_for_until_the_pools_destructor_has_ended_it) {
  const auto call = std::make_shared<Call>();
  const Future<int> future(call);
  std::jthread destructor([&] {
    std::this_thread::sleep_for(20ms);
    end(*call);
  });
  EXPECT_THROW(future.get(), rankpool::CancelledError);
}

TEST(CallOfALostPool, is_waited_for_no_longer_than_was_asked_for) {
  const auto call = std::make_shared<Call>();
  const Future<int> future(call);
  EXPECT_FALSE(future.wait(5ms));
  EXPECT_THROW(future.get(5ms), rankpool::TimeoutError);
  EXPECT_EQ(rankpool::wait({future}, 5ms).not_done.size(), 1U);
  end(*call);
  EXPECT_TRUE(future.wait(5ms));
}

TEST(CallOfALostPool, comes_among_the_completed) {
  const auto call = std::make_shared<Call>();
  const Future<int> future(call);
  std::jthread destructor([&] {
    std::this_thread::sleep_for(20ms);
    end(*call);
  });
  int seen = 0;
  for (const Future<int>& completed : rankpool::as_completed({future})) seen += completed.cancelled() ? 1 : 0;
  EXPECT_EQ(seen, 1);
}

TEST(CallOfALostPool, is_not_waited_for_in_a_callback_of_that_pool) {
  const auto call = std::make_shared<Call>();
  const auto other = std::make_shared<Call>();
  bool refused = false;
  Future<int>(call).then({}, [&](const std::exception_ptr&) {
    try {
      Future<int>(other).wait();
    } catch (const std::logic_error&) {
      refused = true;
    }
  });
  end(*call);
  EXPECT_TRUE(refused);
}

}  // namespace
