/// @file
/// A pool whose tasks run when a test says so, in the thread that says it.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/errors.hpp>

#include "heap_memory.hpp"

namespace rankpool::test {

/// For calls that nobody waits for. Those that wait sleep until some thread runs tasks; any thread may.
class ManualPool final : public detail::PoolCore, public detail::AsyncCore {
 public:
  // --- for the test -------------------------------------------------------------------------------------------------

  /// An "executor" takes the oldest task of a call: it can't be cancelled any more.
  /// @param call their number, in the order in which they were made; from 1.
  void take(std::uint64_t call) {
    const std::lock_guard lock(mutex_);
    ++calls_.at(call)->taken;
  }

  /// Runs the oldest task of a call.
  /// @returns false when the call has ended.
  bool run_one(std::uint64_t call) {
    std::unique_lock lock(mutex_);
    const auto found = calls_.find(call);
    if (found == calls_.end() || found->second->waiting.empty()) return false;
    const std::shared_ptr<Call> running = found->second;
    const Task task = running->waiting.front();
    running->waiting.pop_front();
    ++running->taken;
    lock.unlock();
    HeapResults results(task.index);
    detail::Chunk chunk = task.piece->chunk(task.place, 1);
    chunk.results = &results;
    running->kernel->run(running->callable.get(), chunk);
    lock.lock();
    if (!calls_.contains(call)) return false;  // cancelled meanwhile
    results.deliver(running->async->sink());
    ++running->ended;
    end_if_over(lock, *running);
    return true;
  }

  void run_all(std::uint64_t call) {
    while (run_one(call)) {
    }
  }

  /// Calls that have not ended.
  [[nodiscard]] std::size_t open_calls() {
    const std::lock_guard lock(mutex_);
    return calls_.size();
  }

  // --- the pool -----------------------------------------------------------------------------------------------------

  void run(const detail::CallSpec& /*spec*/, detail::InputSource& /*source*/, detail::ResultSink& /*sink*/) override {
    refuse_in_callback();
    throw std::logic_error("nobody runs the tasks of a call that blocks");
  }

  void start(const detail::CallSpec& spec, std::optional<std::uint64_t> /*total*/,
             std::shared_ptr<detail::AsyncCall> call) override {
    const std::lock_guard lock(mutex_);
    if (state_ != PoolState::running) throw PoolClosed();
    call->start(weak_from_this(), ++last_id_);
    auto open = std::make_shared<Call>(Callable(spec.kernel->load(spec.callable.bytes()), spec.kernel->unload));
    open->async = std::move(call);
    open->kernel = spec.kernel;
    open->stride = spec.input_stride;
    calls_.emplace(last_id_, std::move(open));
  }

  bool feed(detail::AsyncCall& call, detail::InputSource& source, std::uint64_t most) override {
    const auto piece = std::make_shared<HeapPiece>(open_call(call)->stride, std::min<std::uint64_t>(most, 3));
    const bool more = source.draw(*piece);
    std::unique_lock lock(mutex_);
    Call& open = *calls_.at(call.id());
    for (std::uint64_t i = 0; i < piece->tasks(); ++i) open.waiting.push_back({piece, i, open.drawn++});
    open.async->sink().expect(open.drawn);
    open.fed = !more;
    end_if_over(lock, open);
    return more;
  }

  [[nodiscard]] bool delivers_here() const noexcept override { return false; }
  detail::SharedHandle make_object(const detail::SharedSpec&) override { return {}; }
  void check_may_wait() const override { refuse_in_callback(); }

  bool await(const detail::Condition& condition, detail::Deadline deadline) override {
    refuse_in_callback();
    std::unique_lock lock(mutex_);
    while (!condition()) {
      if (!deadline) {
        changed_.wait(lock);
      } else if (changed_.wait_until(lock, *deadline) == std::cv_status::timeout) {
        return condition();
      }
    }
    return true;
  }

  bool cancel(detail::AsyncCall& call) override {
    std::unique_lock lock(mutex_);
    const auto found = calls_.find(call.id());
    if (found == calls_.end()) return call.was_cancelled();
    const Call& open = *found->second;
    if (open.drawn == 1 && open.taken != 0) return false;
    call.set_cancelled();
    end(lock, found, cancellation("the call was cancelled"));
    return true;
  }

  void drop(detail::AsyncCall& call) noexcept override { cancel(call); }

  [[nodiscard]] bool running(const detail::AsyncCall& call) override {
    const std::lock_guard lock(mutex_);
    const auto found = calls_.find(call.id());
    return found != calls_.end() && found->second->taken != 0;
  }

  void close() override { set_state(PoolState::closed); }
  void join() override { refuse_in_callback(); }
  void terminate() override {
    set_state(PoolState::terminated);
    std::unique_lock lock(mutex_);
    while (!calls_.empty()) end(lock, calls_.begin(), cancellation("the pool was terminated"));
  }
  void cancel_pending() override {}

  [[nodiscard]] int processes() const override { return 1; }
  [[nodiscard]] PoolState state() const override { return state_; }
  [[nodiscard]] std::string name() const override { return "manual"; }

 private:
  using Callable = std::unique_ptr<void, void (*)(void*)>;

  struct Task {
    std::shared_ptr<HeapPiece> piece;
    std::uint64_t place;  ///< in the piece
    std::uint64_t index;  ///< in the call
  };

  struct Call {
    explicit Call(Callable shipped) : callable(std::move(shipped)) {}
    std::shared_ptr<detail::AsyncCall> async;
    const detail::Kernel* kernel = nullptr;
    Callable callable;
    std::size_t stride = 0;
    std::deque<Task> waiting;
    std::uint64_t drawn = 0;
    std::uint64_t taken = 0;
    std::uint64_t ended = 0;
    bool fed = false;
  };
  using Calls = std::map<std::uint64_t, std::shared_ptr<Call>>;

  static std::exception_ptr cancellation(const char* text) { return std::make_exception_ptr(CancelledError(text)); }

  static void refuse_in_callback() {
    if (in_callback) throw std::logic_error("a call that blocks was made in a callback");
  }

  std::shared_ptr<Call> open_call(const detail::AsyncCall& call) {
    const std::lock_guard lock(mutex_);
    return calls_.at(call.id());
  }

  void set_state(PoolState state) {
    const std::lock_guard lock(mutex_);
    if (state_ != PoolState::terminated) state_ = state;
  }

  void end_if_over(std::unique_lock<std::mutex>& lock, const Call& call) {
    if (call.fed && call.ended == call.drawn) end(lock, calls_.find(call.async->id()), nullptr);
  }

  void end(std::unique_lock<std::mutex>& lock, Calls::iterator which, std::exception_ptr failure) {
    const std::shared_ptr<Call> call = which->second;
    calls_.erase(which);
    lock.unlock();
    call->async->finish(std::move(failure));
    const bool before = std::exchange(in_callback, true);
    call->async->call_back();
    in_callback = before;
    call->async->set_done();
    lock.lock();
    changed_.notify_all();
  }

  static inline thread_local bool in_callback = false;

  std::mutex mutex_;
  std::condition_variable changed_;
  Calls calls_;
  std::uint64_t last_id_ = 0;
  PoolState state_ = PoolState::running;
};

}  // namespace rankpool::test
