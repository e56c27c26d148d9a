#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <mutex>
#include <thread>
#include <vector>

#include "master/background_driver.hpp"
#include "master/seat.hpp"
#include "support/yielding_mutex.hpp"

namespace {

using namespace std::chrono_literals;
using rankpool::detail::Condition;
using rankpool::master::BackgroundDriver;
using rankpool::master::Seat;
using rankpool::support::YieldingMutex;
using Clock = std::chrono::steady_clock;

const Condition never = [] { return false; };

/// Lets others in until so many threads wait in the seat.
void await_waiters(Seat& seat, Seat::Lock& lock, const std::atomic<int>& waiting, int threads) {
  while (waiting < threads || !seat.is_awaited()) {
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
}

TEST(YieldingMutex, lets_those_in_who_wait_while_its_holder_goes_on) {
  YieldingMutex mutex;
  std::atomic<int> entered = 0;
  std::unique_lock lock(mutex);
  std::vector<std::jthread> others;
  for (int i = 0; i < 4; ++i) {
    others.emplace_back([&] {
      const std::lock_guard inside(mutex);
      ++entered;
    });
  }
  const auto limit = Clock::now() + 30s;
  while (entered != 4 && Clock::now() < limit) mutex.let_others_in();
  EXPECT_EQ(entered, 4);
  EXPECT_TRUE(lock.owns_lock());
}

TEST(YieldingMutex, keeps_two_threads_apart_while_both_let_others_in) {
  YieldingMutex mutex;
  std::int64_t count = 0;
  const auto work = [&] {
    const std::lock_guard lock(mutex);
    for (int i = 0; i < 20'000; ++i) {
      ++count;
      mutex.let_others_in();
    }
  };
  std::jthread other(work);
  work();
  other.join();
  EXPECT_EQ(count, 40'000);
}

TEST(Seat, wakes_a_thread_when_what_it_waits_for_has_come_and_no_other) {
  Seat seat;
  std::atomic<int> waiting = 0;
  bool first_has_come = false;
  std::atomic<int> woken = 0;
  Seat::Lock lock(seat.mutex());
  std::optional<Seat::Turn> turn(std::in_place, seat);
  const auto wait_for = [&](const Condition& condition) {
    Seat::Lock inside(seat.mutex());
    ++waiting;
    seat.wait(inside, condition, std::nullopt);
    ++woken;
  };
  std::jthread other(wait_for, never);
  std::jthread first(wait_for, [&] { return first_has_come; });
  await_waiters(seat, lock, waiting, 2);
  seat.wake_satisfied();
  first_has_come = true;
  seat.wake_satisfied();
  lock.unlock();
  first.join();
  EXPECT_EQ(woken, 1);
  lock.lock();
  EXPECT_TRUE(seat.is_awaited());
  turn.reset();  // offers the seat
  lock.unlock();
  other.join();
  EXPECT_EQ(woken, 2);
  EXPECT_FALSE(seat.is_awaited());
}

TEST(Seat, is_offered_to_those_who_wait_one_after_the_other) {
  constexpr int threads = 8;
  Seat seat;
  std::atomic<int> waiting = 0;
  int drove = 0;
  Seat::Lock lock(seat.mutex());
  std::optional<Seat::Turn> turn(std::in_place, seat);
  std::vector<std::jthread> others;
  for (int i = 0; i < threads; ++i) {
    others.emplace_back([&] {
      Seat::Lock inside(seat.mutex());
      ++waiting;
      while (seat.is_taken()) seat.wait(inside, never, std::nullopt);
      const Seat::Turn mine(seat);
      EXPECT_TRUE(seat.is_mine());
      ++drove;
    });
  }
  await_waiters(seat, lock, waiting, threads);
  turn.reset();
  lock.unlock();
  others.clear();
  EXPECT_EQ(drove, threads);
}

TEST(Seat, is_passed_on_by_one_who_was_called_but_does_not_want_it_any_more) {
  Seat seat;
  std::atomic<int> waiting = 0;
  std::atomic<bool> second_has_left = false;
  Seat::Lock lock(seat.mutex());
  std::optional<Seat::Turn> turn(std::in_place, seat);
  const auto wait_and_leave = [&] {
    Seat::Lock inside(seat.mutex());
    ++waiting;
    seat.wait(inside, never, std::nullopt);
    seat.offer();
  };
  std::jthread first(wait_and_leave);
  await_waiters(seat, lock, waiting, 1);
  std::jthread second([&] {
    wait_and_leave();
    second_has_left = true;
  });
  await_waiters(seat, lock, waiting, 2);
  turn.reset();
  lock.unlock();
  first.join();
  second.join();
  EXPECT_TRUE(second_has_left);
}

TEST(Seat, lets_a_thread_go_at_its_deadline) {
  Seat seat;
  Seat::Lock lock(seat.mutex());
  const auto begin = Clock::now();
  seat.wait(lock, never, begin + 20ms);
  EXPECT_GE(Clock::now() - begin, 20ms);
  EXPECT_FALSE(seat.is_awaited());
}

TEST(Seat, belongs_to_its_driver_again_after_another_threads_turn_in_its_callback) {
  Seat seat;
  Seat::Lock lock(seat.mutex());
  const Seat::Turn turn(seat);
  {
    const Seat::Aside callback(seat, lock, Seat::Driving::calling_back);
    std::jthread([&] {
      const Seat::Lock inside(seat.mutex());
      const Seat::Turn pause(seat);
      EXPECT_TRUE(seat.is_mine());
      EXPECT_EQ(seat.driving(), Seat::Driving::polling);
    }).join();
    EXPECT_EQ(seat.driving(), Seat::Driving::calling_back);
    EXPECT_TRUE(seat.is_mine());
  }
  EXPECT_EQ(seat.driving(), Seat::Driving::polling);
}

/// A seat with work that any driver gets done.
struct Workplace {
  void drive(const Condition& until) {
    const Seat::Turn turn(seat);
    ++drives;
    work = 0;
    EXPECT_TRUE(until());
  }

  Seat seat;
  int work = 0;
  std::atomic<int> drives = 0;
  BackgroundDriver background{seat, [this] { return work != 0; },
                              [this](Seat::Lock& /*lock*/, const Condition& until) { drive(until); }};
};

TEST(BackgroundDriver, drives_where_nobody_else_does) {
  Workplace place;
  for (int round = 1; round <= 3; ++round) {
    {
      const Seat::Lock lock(place.seat.mutex());
      place.work = 1;
      place.background.wake();
    }
    const auto limit = Clock::now() + 30s;
    while (place.drives != round && Clock::now() < limit) std::this_thread::sleep_for(1ms);
    ASSERT_EQ(place.drives, round);
    if (round == 2) std::this_thread::sleep_for(150ms);  // it falls asleep
  }
}

TEST(BackgroundDriver, leaves_the_work_to_a_thread_that_waits) {
  Workplace place;
  Seat::Lock lock(place.seat.mutex());
  place.work = 1;
  place.background.wake();
  place.seat.wait(lock, never, Clock::now() + 50ms);
  EXPECT_EQ(place.drives, 0);
}

TEST(BackgroundDriver, ends_when_it_is_stopped_whether_it_has_begun_or_not) {
  Workplace place;
  std::jthread stopped;
  {
    const Seat::Lock lock(place.seat.mutex());
    EXPECT_FALSE(place.background.stop().joinable());
    place.background.wake();
    stopped = place.background.stop();
  }
  EXPECT_TRUE(stopped.joinable());
  stopped.join();
}

}  // namespace
