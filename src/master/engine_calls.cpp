// Calls: opened, fed with inputs, waited for, ended.
#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include <rankpool/detail/code_address.hpp>
#include <rankpool/errors.hpp>

#include "master/engine.hpp"
#include "master/engine_memory.hpp"

namespace rankpool::master {
namespace {

using namespace std::chrono_literals;

// Encoded inputs kept ahead of the executors, per node: enough for several pieces in flight, little enough for caches.
constexpr std::uint64_t window_bytes = std::uint64_t{2} << 20U;

constexpr std::uint64_t largest_chunk = std::uint64_t{1} << 36U;

// The pool for which this thread draws inputs, in user code.
thread_local const Engine* drawing_for = nullptr;

class Drawing {
 public:
  explicit Drawing(const Engine& engine) : before_(std::exchange(drawing_for, &engine)) {}
  Drawing(const Drawing&) = delete;
  Drawing& operator=(const Drawing&) = delete;
  ~Drawing() { drawing_for = before_; }

 private:
  const Engine* before_;
};

std::exception_ptr timed_out(const Call& call) {
  return std::make_exception_ptr(TimeoutError(std::string(call.what) + " timed out: " + call.progress() +
                                              " had ended; those that had not started are cancelled"));
}

std::exception_ptr cancelled_by_shutdown(const Call& call) {
  return std::make_exception_ptr(CancelledError(
      std::string(call.what) + " was cancelled by shutdown: " + call.progress() + " had started and have ended"));
}

}  // namespace

std::optional<Deadline> Engine::deadline_of(const detail::CallSpec& spec) const {
  const auto timeout = spec.timeout ? spec.timeout : options_.timeout;
  // Longer than a clock can count is no limit.
  if (!timeout || *timeout >= 24h * 365 * 100) return std::nullopt;
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(*timeout);
}

Call& Engine::open(const detail::CallSpec& spec, std::optional<std::uint64_t> total, detail::ResultSink& sink,
                   std::shared_ptr<journal::CallLog> log) {
  const host::CallId id = log ? log->number() : next_call_++;
  Call call(&nodes_);  // among the calls only when nothing can throw any more
  call.image.id = id;
  call.image.random_numbers = log ? log->random_numbers() : id;
  call.image.kernel = detail::address_of(spec.kernel);
  call.image.callable.assign(spec.callable.data(), spec.callable.data() + spec.callable.size());
  call.image.input_stride = spec.input_stride;
  call.image.schedule = spec.schedule.value_or(options_.schedule);
  call.image.chunksize = spec.chunksize != 0 ? spec.chunksize : options_.chunksize;
  // A chunk larger than the call is the call; the limit keeps products of it in range.
  call.image.chunksize =
      std::min({call.image.chunksize, largest_chunk, std::max<std::uint64_t>(total.value_or(largest_chunk), 1)});
  if (call.image.schedule == Schedule::static_ && call.image.chunksize == 0 && total) {
    call.image.chunksize = (*total + processes_ - 1) / processes_;
  }
  call.image.task_timeout = host::time_limit(spec.task_timeout ? spec.task_timeout : options_.task_timeout);
  call.what = spec.what;
  call.total = total;
  call.sink = &sink;
  call.log = std::move(log);
  call.max_attempts = spec.max_attempts.value_or(options_.max_attempts);
  call.result_stride = spec.kernel->result_stride;
  if (transport_) backoff_.expect_reply();
  scheduler_.open_job(id, {.schedule = call.image.schedule,
                           .chunksize = call.image.chunksize,
                           .max_attempts = call.max_attempts,
                           .total = total,
                           .speculative = spec.speculate});
  return calls_.emplace(id, std::move(call)).first->second;
}

// ------------------------------------------------------------------------------------------- that somebody waits for

void Engine::run(const detail::CallSpec& spec, detail::InputSource& source, detail::ResultSink& sink) {
  const auto deadline = deadline_of(spec);
  if (spec.speculate) check_speculation(spec);
  check_blocking();
  auto log = open_log(spec);
  Lock lock(seat_.mutex());
  check_running();
  Call& call = open(spec, source.size(), sink, std::move(log));
  const host::CallId id = call.image.id;
  PieceBuilder builder(*memory_, spec.input_stride, call.image.chunksize, first_piece());
  try {
    await_end(lock, call, source, builder, deadline);
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    abandon(call);
    attend(lock);
    lock.unlock();
    throw;
  }
  const std::exception_ptr failure = call.failure;
  if (call.state == Call::State::ended) {
    calls_.erase(id);
  } else {  // won
    abandon(call);
    attend(lock);
  }
  // join() may be asleep until the last call has left.
  if (state_ != PoolState::running && calls_.empty()) attend(lock);
  lock.unlock();
  if (failure) std::rethrow_exception(failure);
}

void Engine::await_end(Lock& lock, Call& call, detail::InputSource& source, PieceBuilder& builder,
                       std::optional<Deadline> deadline) {
  const auto has_ended = [&call] { return call.state == Call::State::ended || call.is_won(); };
  const auto takes_input = [this, &call] { return call.state == Call::State::drawing && wants_input(call); };
  const auto is_due = [&] { return has_ended() || takes_input(); };
  while (!has_ended()) {
    if (deadline && Clock::now() >= *deadline) {
      // What has ended, but was not worth waking the master for, counts.
      if (!drive_until(lock, has_ended, deadline)) std::rethrow_exception(timed_out(call));
    } else if (takes_input()) {
      if (!draw(lock, call.image.id, source, builder, PieceBuilder::no_limit)) end_input(call);
      dispatch();
      // Inputs may come slowly; what executors report must not wait for them.
      poll_now(lock);
    } else {
      drive_until(lock, std::cref(is_due), deadline);
    }
  }
}

bool Engine::wants_input(const Call& call) const {
  const std::uint64_t least = 2 * processes_ * std::max<std::uint64_t>(call.image.chunksize, 1);
  return scheduler_.pending_tasks(call.image.id) < least ||
         call.unsettled_bytes() < window_bytes * (remote_.size() + 1);
}

// ------------------------------------------------------------------------------------------------------------ inputs

/// Draws a round of inputs without the lock. @returns whether inputs are left.
bool Engine::draw(Lock& lock, host::CallId id, detail::InputSource& source, PieceBuilder& builder, std::uint64_t most) {
  const Call& asking = calls_.at(id);
  const std::shared_ptr<journal::CallLog> log = asking.log;
  const std::size_t stride = asking.image.input_stride;
  lock.unlock();
  std::exception_ptr thrown;
  bool more = false;
  const std::uint64_t before = builder.drawn_tasks();
  try {
    const Drawing drawing(*this);
    builder.start_round(most);
    more = source.draw(builder);
  } catch (...) {
    thrown = std::current_exception();
  }
  // What a stream has drawn goes out even if it is no whole chunk, as what was drawn before the range threw.
  if (!more || builder.drawn_tasks() - before == most) builder.finish();
  const BuiltPieces built = builder.take();
  std::vector<LoggedPiece> logged;
  bool is_refused = false;
  if (log) {
    try {
      logged = look_up(*log, {built.data(), built.size()}, stride);
    } catch (...) {
      is_refused = true;
      thrown = std::current_exception();
    }
  }
  lock.lock();
  const auto found = calls_.find(id);
  if (found != calls_.end() && found->second.state == Call::State::drawing && !is_refused) {
    add_pieces(found->second, {built.data(), built.size()}, std::move(logged));
  } else {  // refused, or ended from outside meanwhile: terminated, broken, cancelled
    for (const BuiltPiece& piece : built) local_->release(piece.block);
  }
  if (thrown) std::rethrow_exception(thrown);
  return more;
}

void Engine::check_not_drawing() const {
  if (drawing_for != this) return;
  throw std::logic_error("rankpool: join() in the input range of a call, which join() would wait for");
}

/// @param logged of a call with a journal: for each piece.
void Engine::add_pieces(Call& call, std::span<const BuiltPiece> pieces, std::vector<LoggedPiece> logged) {
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const BuiltPiece& built = pieces[i];
    KeptPiece& kept = call.pieces.emplace(built.piece.first, KeptPiece{built, built.piece.count}).first->second;
    call.tasks += built.piece.count;
    call.bytes += built.bytes;
    if (call.log) {
      add_missing_tasks(call, built, logged[i]);
      kept.inputs = std::move(logged[i].inputs);
    } else {
      scheduler_.add_tasks(call.image.id, {built.piece.first, built.piece.count});
    }
  }
  call.sink->expect(call.tasks);
  for (const LoggedPiece& piece : logged) deliver(call, piece);
}

void Engine::end_input(Call& call) {
  if (call.state != Call::State::drawing) return;
  call.state = Call::State::drained;
  call.total = call.tasks;
  scheduler_.end_input(call.image.id);
  look_at_race(call);  // all that was drawn may have ended
}

// --------------------------------------------------------------------------------------------------------------- ends

/// The handle's part of the call ends now; what is in flight is let run, and dropped when it ends.
void Engine::detach(Call& call, const std::exception_ptr& failure) {
  ended_.push_back({std::move(call.handle), std::move(call.builder), failure});
  call.handle.reset();
  call.builder.reset();
  if (call.deadline) deadlines_.erase({*call.deadline, call.image.id});
  --handles_;
  abandon(call);
}

// The caller leaves. What runs is let run, and dropped when it ends.
void Engine::abandon(Call& call) {
  call.sink = nullptr;
  if (call.state == Call::State::ended) {
    calls_.erase(call.image.id);
    return;
  }
  call.state = Call::State::abandoned;
  ask_to_stop(call);
  scheduler_.cancel_job(call.image.id);
}

/// Lets the tasks that run know that nobody waits for them any more.
void Engine::ask_to_stop(const Call& call) {
  for (const scheduler::HostId host : call.informed) {
    if (host == local_host) {
      local_->stop_call(call.image.id);
    } else if (may_drive_here()) {  // a full batch is sent at once
      outbox_->add(remote_[host - 1].leader, wire::StopCall{call.image.id});
    }
  }
}

void Engine::expire_calls() {
  while (!deadlines_.empty() && deadlines_.begin()->first <= Clock::now()) {
    Call& call = calls_.at(deadlines_.begin()->second);
    detach(call, timed_out(call));
  }
}

/// The call can't go on; its caller gets the error when what is in flight has ended.
void Engine::fail(Call& call, const std::exception_ptr& error) {
  if (call.state == Call::State::ended) return;
  if (call.state != Call::State::abandoned) {
    if (!call.failure) call.failure = error;
    call.sink = nullptr;
    call.state = Call::State::drained;
  }
  scheduler_.cancel_job(call.image.id);
}

void Engine::forget(host::CallId id) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  Call& call = found->second;
  for (const auto& [first, kept] : call.pieces) local_->release(kept.built.block);
  call.pieces.clear();
  for (const scheduler::HostId host : call.informed) {
    if (host == local_host) {
      local_->close_call(id);
    } else {
      outbox_->add(remote_[host - 1].leader, wire::CloseCall{id});
    }
  }
  call.informed.clear();
  if (!call.is_settled() && !call.failure) {
    if (call.state == Call::State::stopping) call.failure = job_ending(call);
    if (call.state == Call::State::cancelled) {
      call.failure = cancelled_by_shutdown(call);
      if (call.handle) call.handle->set_cancelled();
    }
  }
  if (call.handle) {
    call.sink = nullptr;
    detach(call, call.failure);
  }
  const bool awaited = call.state != Call::State::abandoned;
  call.state = Call::State::ended;
  if (!awaited) calls_.erase(found);
  tell_waiters();
}

void Engine::fail_calls(const std::function<std::exception_ptr(const Call&)>& error_of) {
  std::vector<host::CallId> left;
  for (auto& [id, call] : calls_) {
    if (call.state == Call::State::ended) continue;
    const std::exception_ptr error = call.state == Call::State::abandoned ? nullptr : error_of(call);
    if (call.handle) detach(call, error);
    if (call.state == Call::State::abandoned) left.push_back(id);
    call.failure = error;
    call.sink = nullptr;
    call.state = Call::State::ended;
  }
  for (const host::CallId id : left) calls_.erase(id);
  lots_.clear();
  tell_waiters();
}

}  // namespace rankpool::master
