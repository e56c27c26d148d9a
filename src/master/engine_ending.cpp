// The end of the job that the pool is part of: no more tasks start, what runs is let finish, and calls end in
// JobEnding.
#include <chrono>
#include <string>
#include <utility>

#include <rankpool/errors.hpp>

#include "master/engine.hpp"

namespace rankpool::master {

std::exception_ptr Engine::job_ending(const Call& call) {
  is_cut_short_ = true;
  return std::make_exception_ptr(JobEnding(why_ending_ + "; of " + std::string(call.what) + ' ' + call.progress() +
                                           " have ended" + (call.log ? ", and the journal has their results" : "")));
}

void Engine::check_job_goes_on() {
  if (ending_ == Ending::far) return;
  is_cut_short_ = true;
  throw JobEnding(why_ending_);
}

/// Nothing of it starts any more.
void Engine::stop(Call& call) {
  if (!call.is_open()) return;
  call.state = Call::State::stopping;
  scheduler_.cancel_job(call.image.id);
}

void Engine::stop_longer_than(Clock::duration left, const std::string& why) {
  const Lock lock(seat_.mutex());
  if (ending_ != Ending::far) return;
  why_ending_ = why;
  bool stopped = false;
  for (auto& [id, call] : calls_) {
    const auto time = scheduler_.task_time(id);
    if (!time || std::chrono::nanoseconds(*time) <= left || !call.is_open()) continue;
    stop(call);
    stopped = true;
  }
  if (stopped) leave_to_driver();
}

void Engine::end_job(Ending ending, const std::string& why) {
  Lock lock(seat_.mutex());
  take_step(ending, why);
  leave_to_driver();
  lock.unlock();
  if (ending >= Ending::no_results) journals_.flush();
}

void Engine::take_step(Ending ending, const std::string& why) {
  if (ending <= ending_) return;
  ending_ = ending;
  why_ending_ = why;
  for (auto& [id, call] : calls_) stop(call);
  if (ending >= Ending::no_results) {
    for (auto& [id, call] : calls_) {
      if (call.state != Call::State::stopping) continue;
      call.sink = nullptr;
      if (!call.failure) call.failure = job_ending(call);
      ask_to_stop(call);
    }
  }
  if (ending == Ending::at_once) {
    fail_calls([this](const Call& call) { return job_ending(call); });
  }
}

void Engine::lose_leader(int rank, const std::string& why) {
  const Lock lock(seat_.mutex());
  lost_leaders_[rank] = "is lost: " + why;
  if (may_drive_here()) give_up_lost_leaders();
  leave_to_driver();
}

void Engine::end_without_leader(int rank, const std::string& why) {
  Lock lock(seat_.mutex());
  if (may_drive_here()) {
    if (transport_) transport_->give_up(rank);  // first of all: what follows must send it nothing
  } else {
    lost_leaders_[rank] = "is lost";
  }
  take_step(Ending::at_once, why);
  leave_to_driver();
  lock.unlock();
  journals_.flush();
}

bool Engine::is_cut_short() const {
  const Lock lock(seat_.mutex());
  return is_cut_short_;
}

/// For a thread that is none of the program's: users' callbacks are not for it, nor is MPI where one thread has it.
void Engine::leave_to_driver() {
  if (may_drive_here()) dispatch();
  tell_waiters();
  if (background_.is_there()) wake_background();  // it would inherit this thread's signals
}

}  // namespace rankpool::master
