#include "master/background_driver.hpp"

#include <chrono>
#include <system_error>
#include <utility>

#include "support/signal_mask.hpp"

namespace rankpool::master {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// It takes the seat when nobody has driven for this long: a loop of submit() and get() never meets it. A callback is
// this late at most. While calls are open its glances cost a third of a percent of a core.
constexpr auto grace = 1ms;

// Without work for this long it sleeps until it is told of some, which costs start() a wake-up.
constexpr auto patience = 100ms;

}  // namespace

void BackgroundDriver::wake() {
  if (state_ == State::absent) start();
  if (state_ == State::asleep) work_.notify_one();
}

void BackgroundDriver::start() {
  // The user's handlers are to run in the user's threads, and to interrupt what those wait for.
  const support::SignalMask blocked(support::all_signals());
  users_signals_ = blocked.previous();
  try {
    thread_ = std::jthread([this](const std::stop_token& stop) { live(stop); });
    state_ = State::watching;
  } catch (const std::system_error&) {
    state_ = State::impossible;
  }
}

std::jthread BackgroundDriver::stop() {
  thread_.request_stop();
  return std::move(thread_);
}

void BackgroundDriver::live(const std::stop_token& stop) {
  Seat::Lock lock(seat_.mutex());
  id_ = std::this_thread::get_id();
  auto last_work = Clock::now();
  const auto gives_way = [&] { return !has_work_() || seat_.is_awaited() || stop.stop_requested(); };
  while (!stop.stop_requested()) {
    const auto now = Clock::now();
    if (has_work_()) last_work = now;
    if (now - last_work > patience) {
      state_ = State::asleep;
      work_.wait(lock, stop, has_work_);
      state_ = State::watching;
      continue;
    }
    const std::uint64_t polls = seat_.polls();
    work_.wait_for(lock, stop, grace, [] { return false; });
    if (polls != seat_.polls() || seat_.is_taken() || gives_way()) continue;
    state_ = State::driving;
    drive_(lock, std::cref(gives_way));
    state_ = State::watching;
  }
}

}  // namespace rankpool::master
