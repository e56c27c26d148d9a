#include "master/seat.hpp"

#include <algorithm>

namespace rankpool::master {
namespace {

std::uint32_t this_thread() noexcept {
  static std::atomic<std::uint32_t> threads = 0;
  thread_local const std::uint32_t number = ++threads;
  return number;
}

}  // namespace

Seat::Driving Seat::driving_here() const noexcept {
  const Driver driver = driver_.load(std::memory_order_relaxed);
  return driver.thread == this_thread() ? driver.does : Driving::nothing;
}

void Seat::wait(Lock& lock, const detail::Condition& condition, std::optional<Deadline> deadline) {
  Waiter waiter{condition};
  waiters_.push_back(&waiter);
  while (waiter.state == Waiter::State::asleep) {
    if (!deadline) {
      waiter.wake.wait(lock);
    } else if (waiter.wake.wait_until(lock, *deadline) == std::cv_status::timeout) {
      break;
    }
  }
  std::erase(waiters_, &waiter);
}

void Seat::rouse(Waiter& waiter, Waiter::State state) noexcept {
  waiter.state = state;
  waiter.wake.notify_one();
}

void Seat::wake_satisfied() {
  for (Waiter* const waiter : waiters_) {
    if (waiter->state == Waiter::State::asleep && waiter->condition()) rouse(*waiter, Waiter::State::satisfied);
  }
}

bool Seat::is_anyone_called() const noexcept {
  return std::ranges::any_of(waiters_, [](const Waiter* waiter) { return waiter->state != Waiter::State::asleep; });
}

void Seat::offer() noexcept {
  if (is_taken()) return;
  for (Waiter* const waiter : waiters_) {
    if (waiter->state == Waiter::State::called) return;
  }
  const auto next = std::ranges::find(waiters_, Waiter::State::asleep, &Waiter::state);
  if (next != waiters_.end()) rouse(**next, Waiter::State::called);
}

Seat::Turn::Turn(Seat& seat) noexcept : seat_(seat), before_(seat.driver_.load(std::memory_order_relaxed)) {
  seat.set_driver({this_thread(), Driving::polling});
}

Seat::Turn::~Turn() {
  seat_.set_driver(before_);
  seat_.offer();
}

Seat::Aside::Aside(Seat& seat, Lock& lock, Driving what) : seat_(seat), lock_(lock) {
  seat.set_driver({this_thread(), what});
  seat.wake_satisfied();
  lock.unlock();
}

Seat::Aside::~Aside() {
  lock_.lock();
  seat_.set_driver({this_thread(), Driving::polling});
}

}  // namespace rankpool::master
