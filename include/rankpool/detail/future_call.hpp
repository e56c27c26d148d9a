/// @file
/// The shared state of futures: a call whose results are kept, with the callbacks and the waiters that hear of its end.
///
///   pending ──call_back()──► calling_back ──► over ──get() of an rvalue──► taken
///             results stand    callbacks run   observers told, then done()
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <rankpool/detail/async_call.hpp>
#include <rankpool/detail/call.hpp>
#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/observer.hpp>
#include <rankpool/detail/results.hpp>
#include <rankpool/export.hpp>

namespace rankpool::detail {

/// What a user wants to be done at the end of a call.
class CallBack {
 public:
  CallBack() = default;
  CallBack(const CallBack&) = delete;
  CallBack& operator=(const CallBack&) = delete;
  virtual ~CallBack() = default;
  virtual void run() = 0;
};

/// What futures of all types have in common.
class RANKPOOL_API FutureCall : public AsyncCall {
 public:
  /// Runs the callbacks in the order in which they were added, those added meanwhile too.
  void call_back() noexcept final;

  /// Runs the callback once the results stand: at once, in this thread, where all others have run.
  /// @throws std::logic_error when the result has been moved out.
  void add_callback(std::unique_ptr<CallBack> callback);

  /// The observer hears of the end of the call, at once when that is over. It must be removed before it dies.
  void add_observer(Observer& observer);
  void remove_observer(Observer& observer);

  /// Whether the results may be looked at: by everybody once the callbacks have run, which is a moment before done(),
  /// and before that by the callbacks.
  [[nodiscard]] bool settled() const noexcept { return stage() >= Stage::over || calls_back_here(); }

  /// Whether this thread is in one of its callbacks.
  [[nodiscard]] bool calls_back_here() const noexcept {
    return stage() == Stage::calling_back && pthread_equal(caller_, pthread_self()) != 0;
  }

  /// Blocks until settled().
  /// @returns false when the deadline passed before.
  bool await(Deadline deadline);

  [[nodiscard]] bool cancel_call();

  [[nodiscard]] bool running() const;

  /// Whether cancel() or the end of the pool has ended it. A task that throws a CancelledError of its own has not been
  /// cancelled.
  [[nodiscard]] bool cancelled() const;

  /// Only when settled(), as for the rest.
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

  /// @throws the error where there is one; std::logic_error when the result has been moved out.
  void require_value() const;

  /// From here on the result belongs to the caller.
  /// @throws what require_value() does.
  void take_value();

 protected:
  std::exception_ptr error_;

 private:
  enum class Stage : std::uint8_t { pending, calling_back, over, taken };

  [[nodiscard]] Stage stage() const noexcept { return stage_.load(std::memory_order_acquire); }

  void run(std::unique_ptr<CallBack> callback) const noexcept;
  void require_not_taken() const;

  std::mutex mutex_;
  std::atomic<Stage> stage_ = Stage::pending;
  pthread_t caller_{};  ///< the thread of the callbacks
  std::uint64_t order_ = 0;
  std::vector<std::unique_ptr<CallBack>> callbacks_;
  ObserverRing observers_;
};

/// A call that ends in an R or an error.
template <class R>
class FutureState : public FutureCall {
 public:
  using Value = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

  /// Only when settled() and after require_value() or take_value().
  [[nodiscard]] Value& value() noexcept { return *value_; }

 protected:
  void fail(const std::exception_ptr& error) noexcept {
    error_ = error;
    value_.reset();
  }

  std::optional<Value> value_;
};

/// One of two callbacks of a future: that for the value, or that for the error.
template <class R, class OnValue, class OnError>
class Continuation final : public CallBack {
 public:
  Continuation(FutureState<R>& state, OnValue on_value, OnError on_error)
      : state_(state), on_value_(std::move(on_value)), on_error_(std::move(on_error)) {}

  void run() override {
    if (state_.error() != nullptr)
      static_cast<void>(std::invoke(on_error_, std::exception_ptr(state_.error())));
    else if constexpr (std::is_void_v<R>)
      static_cast<void>(std::invoke(on_value_));
    else
      static_cast<void>(std::invoke(on_value_, std::as_const(state_.value())));
  }

 private:
  FutureState<R>& state_;
  OnValue on_value_;
  OnError on_error_;
};

/// A call of one task.
template <class R>
class ApplyCall final : public FutureState<R>, private ResultSink {
 public:
  ResultSink& sink() override { return *this; }

  void finish(std::exception_ptr failure) noexcept override {
    if (failure != nullptr) this->fail(failure);
  }

 private:
  void expect(std::uint64_t /*tasks*/) override {}

  void values(std::uint64_t /*first*/, std::uint64_t /*count*/, [[maybe_unused]] Bytes encoded) override {
    if constexpr (std::is_void_v<R>) {
      this->value_.emplace();
    } else {
      for_each_result<R>(
          0, 1, encoded, [this](std::uint64_t /*task*/, auto decode) { this->value_.emplace(decode()); },
          [this](std::uint64_t /*task*/, std::exception_ptr failure) { this->fail(failure); });
    }
  }

  void error(std::uint64_t /*task*/, std::exception_ptr error) override { this->fail(error); }
};

/// What a call of many tasks ends in.
template <class R>
struct MapResult {
  using type = std::vector<R>;
};
template <>
struct MapResult<void> {
  using type = void;
};

/// A call of a task per element.
template <class R>
class MapCall final : public FutureState<typename MapResult<R>::type> {
 public:
  void reserve(std::uint64_t tasks) { sink_->reserve(tasks); }

  ResultSink& sink() override { return *sink_; }

  void finish(std::exception_ptr failure) noexcept override {
    if (failure == nullptr) failure = collect();
    if (failure != nullptr) this->fail(failure);
    sink_.reset();  // results that came before a failure, too
  }

 private:
  std::exception_ptr collect() noexcept {
    try {
      if constexpr (std::is_void_v<R>) {
        sink_->take();
        this->value_.emplace();
      } else {
        this->value_.emplace(sink_->take());
      }
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }

  std::optional<MapSink<R>> sink_{std::in_place};
};

}  // namespace rankpool::detail
