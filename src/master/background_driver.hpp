// Drives where nobody else does, so that callbacks come while all the user's threads are busy or asleep.
#pragma once

#include <condition_variable>
#include <csignal>
#include <functional>
#include <stop_token>
#include <thread>

#include "master/seat.hpp"

namespace rankpool::master {

/// A thread that starts when it is first needed, and gives way to whoever comes to wait. All but the destructor is
/// called under the seat's mutex.
class BackgroundDriver {
 public:
  /// @param has_work whether anything is to be driven.
  /// @param drive drives until the given condition holds.
  BackgroundDriver(Seat& seat, detail::Condition has_work,
                   std::function<void(Seat::Lock&, const detail::Condition&)> drive)
      : seat_(seat), has_work_(std::move(has_work)), drive_(std::move(drive)) {}

  /// There is work.
  void wake();

  [[nodiscard]] bool is_this_thread() const noexcept { return id_ == std::this_thread::get_id(); }
  [[nodiscard]] bool is_there() const noexcept { return state_ != State::absent && state_ != State::impossible; }
  /// Whether it drives.
  [[nodiscard]] bool is_in_seat() const noexcept { return state_ == State::driving; }
  /// The signals that are blocked where the user's code started the thread, in which they all are.
  [[nodiscard]] const sigset_t& users_signals() const noexcept { return users_signals_; }

  /// The thread, which ends as soon as it sees that; to be joined without the mutex.
  [[nodiscard]] std::jthread stop();

 private:
  enum class State : std::uint8_t {
    absent,     ///< no thread yet
    watching,   ///< looks every now and then whether somebody drives
    driving,    ///< nobody did
    asleep,     ///< until wake()
    impossible  ///< there was no thread to be had: callbacks come when somebody waits
  };

  void start();
  void live(const std::stop_token& stop);

  Seat& seat_;
  detail::Condition has_work_;
  std::function<void(Seat::Lock&, const detail::Condition&)> drive_;
  State state_ = State::absent;
  sigset_t users_signals_{};
  std::condition_variable_any work_;
  std::thread::id id_;  ///< also once the thread has been handed over to be joined
  std::jthread thread_;
};

}  // namespace rankpool::master
