// Who drives the engine, and what the driver does beside delivering results.
#include <algorithm>
#include <thread>
#include <utility>

#include <rankpool/errors.hpp>

#include "master/callback_mark.hpp"
#include "master/engine.hpp"
#include "master/reports.hpp"
#include "support/signal_mask.hpp"

namespace rankpool::master {
namespace {

using namespace std::chrono_literals;

}  // namespace

// Before the mutex is locked: the driver holds it while it delivers. A task that runs inline doesn't.
void Engine::check_nonblocking() const {
  if (!delivers_here()) return;
  throw std::logic_error(
      "rankpool: the pool was called from code that it runs while it delivers a result, such as a result's "
      "deserialization; that would wait for itself");
}

void Engine::check_blocking() const {
  check_nonblocking();
  if (CallbackMark::is_set()) CallbackMark::refuse_blocking(weak_from_this());
  check_thread();
}

bool Engine::may_drive_here() const {
  return !options_.only_thread || options_.only_thread->id == std::this_thread::get_id();
}

void Engine::check_thread() const {
  if (!may_drive_here()) throw std::logic_error(options_.only_thread->refusal);
}

bool Engine::await(const detail::Condition& condition, detail::Deadline deadline) {
  home_.require("a future or a stream of a pool");
  check_blocking();
  Lock lock(seat_.mutex());
  return drive_until(lock, condition, deadline);
}

/// Drives, or sleeps while another thread does, until the condition holds. Where the deadline is over it still looks
/// once at what has come.
/// @returns whether the condition holds.
bool Engine::drive_until(Lock& lock, const detail::Condition& condition, std::optional<Deadline> deadline) {
  const auto is_late = [&deadline] { return deadline && Clock::now() >= *deadline; };
  ++deeds_;  // who waits anew may have done anything before
  const bool as_long_as_it_takes = !deadline;
  const CountedWait counted(*this, as_long_as_it_takes && !background_.is_this_thread());
  bool holds = condition();
  for (bool late = false; !holds && !late; holds = condition()) {
    if (!seat_.is_taken()) {
      const Seat::Turn turn(seat_);
      driver_is_counted_ = as_long_as_it_takes;
      do {
        late = is_late();
        step(lock, deadline);
      } while ((!condition() || !ended_.empty()) && !late);
    } else if (seat_.is_mine()) {
      throw std::logic_error("rankpool: a task that runs inline waited for the pool, which waits for the task");
    } else {
      // Who waits drives; the background thread gives way.
      if (seat_.driving() == Driving::sleeping && background_.is_in_seat()) local_->ring();
      seat_.wait(lock, condition, deadline);
      late = is_late();
    }
  }
  seat_.offer();
  return holds;
}

/// Takes in what the hosts report, and lets out what the scheduler makes of it.
bool Engine::poll_hosts() {
  seat_.count_poll();
  if (hosts_stopped_) return false;
  if (is_glance_due()) look_after_leaders();
  LocalReports reports(*this);
  bool happened = local_->poll(reports);
  if (transport_) {
    happened |= transport_->poll([this](int source, detail::Bytes message, const transport::Cargo& cargo) {
      receive(source, message, cargo.bytes);
    });
  }
  expire_calls();
  objects_.end_late_waits();
  dispatch();
  look_for_deadlocks();
  return happened;
}

// The clock is read now and then where the driver finds no time to sleep; sleep() looks too.
bool Engine::is_glance_due() {
  constexpr std::uint32_t polls_between_clocks = 256;
  return !remote_.empty() && ++polls_ % polls_between_clocks == 0;
}

void Engine::poll_now(Lock& lock) {
  if (seat_.is_taken()) return;
  const Seat::Turn turn(seat_);
  poll_hosts();
  while (!ended_.empty()) deliver(lock);
  seat_.wake_satisfied();
}

/// What the driver does again and again. Others who were let in may have ended calls: what they left to the driver is
/// delivered, and all conditions are looked at, before it sleeps or stops.
void Engine::step(Lock& lock, std::optional<Deadline> deadline) {
  const bool let_in = seat_.mutex().let_others_in();
  const bool calm = transport_ && backoff_.is_calm();
  if (calm && !let_in && ended_.empty()) sleep(lock, deadline);
  if (poll_hosts() || let_in || !ended_.empty()) {
    note_news();
  } else if (!calm) {
    sleep(lock, deadline);
  }
  deliver(lock);
  seat_.wake_satisfied();
}

/// A host with work for a while can wait for more, and its results can wait for others of them.
void Engine::note_news() {
  if (!transport_) return;
  if (scheduler_.any_host_is_hungry()) {
    backoff_.reset();
  } else {
    backoff_.ease();
  }
}

void Engine::sleep(Lock& lock, std::optional<Deadline> deadline) {
  look_after_leaders();
  if (!deadlines_.empty()) deadline = std::min(deadline.value_or(Deadline::max()), deadlines_.begin()->first);
  if (const auto late = objects_.next_deadline()) deadline = std::min(deadline.value_or(Deadline::max()), *late);
  auto time = std::chrono::nanoseconds::max();
  if (deadline) time = std::max<std::chrono::nanoseconds>(0ns, *deadline - Clock::now());
  // A message of another node wakes nobody: look again soon.
  const auto pause = transport_ ? pause_between_looks() : std::chrono::nanoseconds::max();
  // Nobody rings for them.
  if (waits_ != 0 || !deadlocks_.is_at_rest()) time = std::min<std::chrono::nanoseconds>(time, deadlocks_.pause());
  if (scheduler_.any_may_be_late()) time = std::min<std::chrono::nanoseconds>(time, 10ms);
  const Seat::Aside asleep(seat_, lock, Driving::sleeping);
  if (pause == 0ns) return std::this_thread::yield();
  local_->wait(std::min(time, pause));
}

std::chrono::nanoseconds Engine::pause_between_looks() {
  const auto pause = backoff_.next(local_->has_idle_cpu());
  return transport_->bytes_under_way() < transport::large_message ? pause : std::min(pause, transport::sending_pause);
}

/// Polls while the driver, this thread or another, is in a callback; it delivers nothing.
void Engine::poll_beside_callback(Lock& lock) {
  bool happened = false;
  {
    const Seat::Turn pause(seat_);
    happened = poll_hosts();
  }
  seat_.wake_satisfied();
  if (happened) {
    seat_.mutex().let_others_in();
    return;
  }
  lock.unlock();
  std::this_thread::sleep_for(50us);
  lock.lock();
}

/// Tells the handles of calls that have ended, in their order, one at a time, without the lock. What others leave to
/// this thread meanwhile, without end maybe, is for the next time: hosts are polled in between.
void Engine::deliver(Lock& lock) {
  for (std::size_t calls = ended_.size(); calls != 0 && !ended_.empty(); --calls) {
    EndedCall ended = std::move(ended_.front());
    ended_.pop_front();
    const bool in_background = background_.is_this_thread();
    {
      ++deeds_;
      ++callbacks_;
      const Seat::Aside outside(seat_, lock, Driving::calling_back);
      const CallbackMark mark(weak_from_this());  // results are moved and destroyed here, too
      std::optional<support::SignalMask> signals;
      if (in_background) signals.emplace(background_.users_signals());
      ended.builder.reset();
      ended.handle->finish(std::move(ended.failure));
      ended.handle->call_back();
      ended.handle->set_done();
      ended.handle.reset();
    }
    --callbacks_;
    seat_.wake_satisfied();
  }
}

/// Something that threads wait for may have come otherwise than by the driver's polling.
void Engine::tell_waiters() {
  if (seat_.driving() == Driving::sleeping) local_->ring();
  seat_.wake_satisfied();
}

/// Something has changed from outside the driver's seat: commands go out, whoever sleeps hears of it, and handles of
/// calls that have ended by it are told.
void Engine::attend(Lock& lock) {
  dispatch();
  tell_waiters();
  if (seat_.is_taken()) return;  // by another thread, or by this one in a callback: the rest is done there
  const Seat::Turn turn(seat_);
  while (!ended_.empty()) deliver(lock);
}

// ------------------------------------------------------------------------------------------------- in the background

void Engine::wake_background() {
  if (options_.background) background_.wake();
}

void Engine::drive_in_background(Lock& lock, const detail::Condition& condition) {
  try {
    drive_until(lock, condition, std::nullopt);
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    break_pool("the pool can't go on: " + detail::text_of(std::current_exception()));
    attend(lock);
  }
}

void Engine::stop_background() {
  std::jthread stopping;  // joins when it is left
  const Lock lock(seat_.mutex());
  if (background_.is_this_thread()) return;
  stopping = background_.stop();
  local_->ring();
}

}  // namespace rankpool::master
