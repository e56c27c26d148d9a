/// @file
/// Tasks that are killed at a moment of no one's choice.
#pragma once

#include <chrono>
#include <csignal>
#include <ctime>
#include <stdexcept>

namespace rankpool::test {

/// This process is killed after this time, wherever it is then.
inline void die_after(std::chrono::microseconds time) {
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  timer_t timer{};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  itimerspec when{};
  when.it_value.tv_sec = seconds.count();
  when.it_value.tv_nsec = std::chrono::nanoseconds(time - seconds).count();
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &when, nullptr) != 0) {
    throw std::runtime_error("no timer");
  }
}

}  // namespace rankpool::test
