/// @file
/// A call that goes on while its caller does other things, as the handles on it (futures, streams) and the pool share
/// it.
///
///   handle ──feed()──► AsyncCore ──► executors ──► AsyncCore ──sink()──► AsyncCall ──finish(), call_back()──► done()
///      └──────────────────────────── await(done) ◄────────────────────────────────────────────────────────────┘
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <rankpool/detail/call.hpp>
#include <rankpool/export.hpp>

namespace rankpool::detail {

class AsyncCore;

/// The pool calls the virtual members, in the thread that drives it; handles call the others, from any thread.
class AsyncCall {
 public:
  AsyncCall() = default;
  AsyncCall(const AsyncCall&) = delete;
  AsyncCall& operator=(const AsyncCall&) = delete;
  virtual ~AsyncCall() = default;

  /// Where the results go. Used under the pool's lock, and not after finish().
  virtual ResultSink& sink() = 0;

  /// No more results come. Called once, without any lock.
  /// @param failure why the call ended before its tasks: CancelledError, TimeoutError, BrokenPool; null otherwise.
  virtual void finish(std::exception_ptr failure) noexcept = 0;

  /// What the user wants to hear of it; called once, after finish() and before done() turns true. Without any lock.
  virtual void call_back() noexcept {}

  /// Whether finish() and the callbacks are over: then nothing changes any more.
  [[nodiscard]] bool done() const noexcept { return done_.load(std::memory_order_acquire); }
  void set_done() noexcept { done_.store(true, std::memory_order_release); }

  /// Whether cancel() has ended it.
  [[nodiscard]] bool was_cancelled() const noexcept { return cancelled_.load(std::memory_order_acquire); }
  void set_cancelled() noexcept { cancelled_.store(true, std::memory_order_release); }

  /// The pool that runs it; null when that has gone, or is about to in another thread, which ends its calls first.
  [[nodiscard]] std::shared_ptr<AsyncCore> pool() const { return pool_.lock(); }
  [[nodiscard]] const std::weak_ptr<AsyncCore>& weak_pool() const noexcept { return pool_; }
  /// Waits for done() where there is no pool() any more.
  /// @returns false when the deadline passed before.
  /// @throws std::logic_error in a callback of that pool.
  RANKPOOL_API bool await_end_of_pool(std::optional<std::chrono::steady_clock::time_point> deadline) const;

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  /// Called by the pool, before anybody else sees the call.
  void start(std::weak_ptr<AsyncCore> pool, std::uint64_t id) {
    pool_ = std::move(pool);
    id_ = id;
  }

 private:
  std::atomic<bool> done_ = false;
  std::atomic<bool> cancelled_ = false;
  std::weak_ptr<AsyncCore> pool_;
  std::uint64_t id_ = 0;
};

}  // namespace rankpool::detail
