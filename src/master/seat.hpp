// The driver's seat: the engine's mutex, the one thread that drives the engine, and those that wait for it to.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include <rankpool/detail/call_spec.hpp>

#include "support/yielding_mutex.hpp"

namespace rankpool::master {

/// One thread at a time drives. The others sleep, each until what it waits for has come, or until it is to drive.
/// Everything is under the mutex, but a thread may always ask what itself does.
class Seat {
 public:
  using Mutex = support::YieldingMutex;
  using Lock = std::unique_lock<Mutex>;
  using Deadline = std::chrono::steady_clock::time_point;

  /// What the driver does.
  enum class Driving : std::uint8_t {
    nothing,       ///< nobody drives
    polling,       ///< takes in what hosts report and delivers results, under the mutex; lets others in between
    sleeping,      ///< waits for the host, or runs tasks inline
    calling_back,  ///< tells handles that their calls have ended
  };

  /// In one word, so that a thread that asks about itself sees both as they were at one time.
  struct Driver {
    std::uint32_t thread = 0;  ///< our own number of it; 0 nobody
    Driving does = Driving::nothing;
  };

  Seat() = default;
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;

  [[nodiscard]] Mutex& mutex() noexcept { return mutex_; }

  [[nodiscard]] Driving driving() const noexcept { return driver_.load(std::memory_order_relaxed).does; }
  [[nodiscard]] bool is_taken() const noexcept { return driving() != Driving::nothing; }

  /// What this thread does in the seat; `nothing` when another sits there.
  [[nodiscard]] Driving driving_here() const noexcept;
  [[nodiscard]] bool is_mine() const noexcept { return driving_here() != Driving::nothing; }

  /// How often a driver has polled: tells whether anybody drives.
  [[nodiscard]] std::uint64_t polls() const noexcept { return polls_; }
  void count_poll() noexcept { ++polls_; }

  /// Whether a thread waits.
  [[nodiscard]] bool is_awaited() const noexcept { return !waiters_.empty(); }

  /// Whether a thread has been woken and has not gone on yet.
  [[nodiscard]] bool is_anyone_called() const noexcept;

  /// Sleeps until the condition holds or it is this thread's turn to drive; returns early at the deadline.
  void wait(Lock& lock, const detail::Condition& condition, std::optional<Deadline> deadline);

  /// Wakes those whose condition holds.
  void wake_satisfied();

  /// If nobody drives, wakes one of those that wait, which is to. To be called by whoever stops waiting.
  void offer() noexcept;

  /// This thread drives, polling, as long as this lives; also in a pause that the driver makes in a callback.
  class Turn {
   public:
    explicit Turn(Seat& seat) noexcept;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn();

   private:
    Seat& seat_;
    Driver before_;
  };

  /// The driver does something else, without the lock, as long as this lives.
  class Aside {
   public:
    Aside(Seat& seat, Lock& lock, Driving what);
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;
    ~Aside();

   private:
    Seat& seat_;
    Lock& lock_;
  };

 private:
  struct Waiter {
    enum class State : std::uint8_t {
      asleep,
      satisfied,  ///< woken, for its condition held
      called,     ///< woken to drive
    };
    const detail::Condition& condition;
    std::condition_variable_any wake = {};
    State state = State::asleep;
  };

  // Others read it under the mutex, and without it only to compare the thread with their own.
  void set_driver(Driver driver) noexcept { driver_.store(driver, std::memory_order_relaxed); }
  static void rouse(Waiter& waiter, Waiter::State state) noexcept;

  Mutex mutex_;
  std::atomic<Driver> driver_ = Driver{};  ///< written under the mutex
  std::uint64_t polls_ = 0;
  std::vector<Waiter*> waiters_;  ///< in the order in which they came
};

}  // namespace rankpool::master
