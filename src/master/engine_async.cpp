// Calls that nobody waits for: opened, fed with inputs, asked about, cancelled.
#include <algorithm>
#include <utility>

#include <rankpool/errors.hpp>

#include "master/engine.hpp"
#include "master/engine_memory.hpp"

namespace rankpool::master {
namespace {

using namespace std::chrono_literals;

// A node answers within its back-off, unless it is gone.
constexpr auto recall_limit = 2s;

}  // namespace

void Engine::start(const detail::CallSpec& spec, std::optional<std::uint64_t> total,
                   std::shared_ptr<detail::AsyncCall> handle) {
  const auto deadline = deadline_of(spec);
  if (spec.speculate) check_speculation(spec);
  check_nonblocking();
  check_thread();
  auto log = open_log(spec);
  Lock lock(seat_.mutex());
  check_running();
  Call& call = open(spec, total, handle->sink(), std::move(log));
  const host::CallId id = call.image.id;
  try {
    call.builder = std::make_shared<PieceBuilder>(*memory_, spec.input_stride, call.image.chunksize,
                                                  std::min(first_piece(), total.value_or(first_piece())));
    if (deadline) deadlines_.emplace(*deadline, id);
  } catch (...) {
    abandon(call);
    throw;
  }
  handle->start(weak_from_this(), id);
  call.handle = std::move(handle);
  call.deadline = deadline;
  call.reader = std::this_thread::get_id();
  ++handles_;
  wake_background();
  // Who sleeps doesn't know of this call's deadline.
  if (deadline && seat_.driving() == Driving::sleeping) local_->ring();
}

Call* Engine::find(const detail::AsyncCall& handle) {
  const auto found = calls_.find(handle.id());
  return found != calls_.end() && found->second.handle.get() == &handle ? &found->second : nullptr;
}

bool Engine::feed(detail::AsyncCall& handle, detail::InputSource& source, std::uint64_t most) {
  home_.require("a future or a stream of a pool");
  check_nonblocking();
  check_thread();
  std::shared_ptr<PieceBuilder> builder;
  Lock lock(seat_.mutex());
  Call* const known = find(handle);
  if (known == nullptr || known->state != Call::State::drawing) return false;
  known->reader = std::this_thread::get_id();
  builder = known->builder;
  const auto finish = [&] {
    if (Call* const call = find(handle)) end_input(*call);
  };
  bool more = true;
  try {
    more = draw(lock, handle.id(), source, *builder, std::min(most, PieceBuilder::no_limit - builder->drawn_tasks()));
    const Call* const call = find(handle);
    if (call == nullptr || call->state != Call::State::drawing) return false;
    if (!more) finish();
    dispatch();
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    finish();
    attend(lock);
    throw;
  }
  if (!ended_.empty()) attend(lock);
  return more;
}

bool Engine::cancel(detail::AsyncCall& handle) {
  home_.require("cancel");
  check_nonblocking();
  check_thread();
  Lock lock(seat_.mutex());
  Call* call = find(handle);
  if (call != nullptr && call->state != Call::State::drawing && call->tasks == 1)
    call = recall(lock, handle, call->image.id);
  if (call != nullptr) {
    handle.set_cancelled();
    detach(*call, std::make_exception_ptr(CancelledError(std::string(call->what) + " was cancelled")));
    attend(lock);
  }
  if (!handle.was_cancelled()) return false;
  // Until the driver has told the handle; in a callback that is done after it.
  if (!seat_.is_mine())
    drive_until(
        lock, [&handle] { return handle.done(); }, std::nullopt);
  return true;
}

/// Asks for a call's only task back, whose host alone knows whether it has started.
/// @returns the call if it has not, and nothing of it runs any more; null if it goes on, or has ended.
Call* Engine::recall(Lock& lock, const detail::AsyncCall& handle, host::CallId id) {
  const auto deadline = Clock::now() + recall_limit;
  const auto has_come_back = [&] {
    const Call* const call = find(handle);
    return call != nullptr && call->is_open() && scheduler_.pending_tasks(id) != 0;
  };
  const auto is_answered = [&] {
    const Call* const call = find(handle);
    return call == nullptr || was_refused(*call) || has_come_back();
  };
  const auto is_driver_away = [this] { return seat_.driving() == Driving::calling_back; };
  const auto may_go_on = [&] { return is_answered() || is_driver_away(); };
  scheduler_.hold_job(id);
  if (transport_) backoff_.expect_reply();
  dispatch();
  while (!is_answered() && Clock::now() < deadline) {
    if (is_driver_away()) {
      poll_beside_callback(lock);
    } else if (seat_.is_mine()) {
      break;  // in a task that runs inline
    } else {
      drive_until(lock, std::cref(may_go_on), deadline);
    }
  }
  Call* const call = find(handle);
  if (call == nullptr || has_come_back()) return call;
  scheduler_.resume_job(id);
  dispatch();
  return nullptr;
}

void Engine::drop(detail::AsyncCall& handle) noexcept {
  // In a result's deserialization the lock is taken: what has been drawn runs to its end.
  if (!home_.is_here() || delivers_here()) return;
  Lock lock(seat_.mutex());
  try {
    Call* const call = find(handle);
    if (call == nullptr) return;
    handle.set_cancelled();
    detach(*call, std::make_exception_ptr(CancelledError(std::string(call->what) + " was dropped")));
    // Another thread than the one that may call MPI leaves the rest to that one.
    if (may_drive_here()) attend(lock);
  } catch (const std::exception& error) {
    break_pool(std::string("the pool can't go on: ") + error.what());
  }
}

bool Engine::running(const detail::AsyncCall& handle) {
  if (!home_.is_here()) return false;
  check_nonblocking();
  const Lock lock(seat_.mutex());
  const Call* const call = find(handle);
  if (call == nullptr || call->state == Call::State::abandoned) return false;
  return has_begun(*call);
}

/// Whether a host has answered that it can't give a lot of the call back.
bool Engine::was_refused(const Call& call) const {
  return std::ranges::any_of(lots_,
                             [&call](const auto& lot) { return lot.second.call == call.image.id && lot.second.begun; });
}

bool Engine::has_begun(const Call& call) const {
  return call.settled != 0 || std::ranges::any_of(lots_, [&](const auto& entry) {
           const auto& [lot, open] = entry;
           return open.call == call.image.id && (open.begun || open.host != local_host || local_->has_begun(lot));
         });
}

/// The calling thread is about to wait for all calls: those whose inputs only it would draw get no more of them.
void Engine::end_inputs_drawn_here() {
  for (auto& [id, call] : calls_) {
    if (!call.handle || call.state != Call::State::drawing || call.reader != std::this_thread::get_id()) continue;
    call.failure = std::make_exception_ptr(
        CancelledError("join() ended " + std::string(call.what) + " when " + std::to_string(call.tasks) +
                       " inputs had been drawn; read the stream to its end before, or drop it"));
    end_input(call);
  }
}

}  // namespace rankpool::master
