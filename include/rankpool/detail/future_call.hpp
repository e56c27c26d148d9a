/// @file
/// The shared state of futures: a call whose results are kept, with the callbacks and the waiters that hear of its end.
///
///   pending ──call_back()──► calling_back ──► over ──get() of an rvalue──► taken
///             results stand    callbacks run   observers told, then done()
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <rankpool/detail/async_call.hpp>
#include <rankpool/detail/call.hpp>
#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/results.hpp>
#include <rankpool/errors.hpp>

namespace rankpool::detail {

/// Wants to hear of the end of one call; a link in that call's ring of observers.
class Observer {
 public:
  Observer() noexcept : before_(this), after_(this) {}
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
  virtual ~Observer() = default;

  /// Called once, under the call's lock, after the callbacks and just before the call is done().
  /// @param order grows from one end of a call to the next.
  virtual void finished(std::uint64_t order) noexcept = 0;

 private:
  friend class ObserverRing;
  Observer* before_;
  Observer* after_;
};

/// The observers of one call.
class ObserverRing {
 public:
  void add(Observer& observer) noexcept {
    observer.after_ = &head_;
    observer.before_ = head_.before_;
    head_.before_->after_ = &observer;
    head_.before_ = &observer;
  }

  /// Does nothing to an observer that is in no ring.
  static void remove(Observer& observer) noexcept {
    observer.before_->after_ = observer.after_;
    observer.after_->before_ = observer.before_;
    observer.before_ = observer.after_ = &observer;
  }

  /// Tells all, and lets them go.
  void tell(std::uint64_t order) noexcept {
    while (head_.after_ != &head_) {
      Observer& first = *head_.after_;
      remove(first);
      first.finished(order);
    }
  }

 private:
  struct Head final : Observer {
    void finished(std::uint64_t /*order*/) noexcept override {}
  };
  Head head_;
};

/// What a user wants to be done at the end of a call.
class CallBack {
 public:
  CallBack() = default;
  CallBack(const CallBack&) = delete;
  CallBack& operator=(const CallBack&) = delete;
  virtual ~CallBack() = default;
  virtual void run() = 0;

  /// Runs it, and logs what it throws.
  void run_logged() noexcept {
    try {
      run();
    } catch (...) {
      log(std::current_exception());
    }
  }

 private:
  static void log(const std::exception_ptr& error) noexcept {
    try {
      const std::string text = text_of(error);
      std::fprintf(stderr, "rankpool: a callback threw: %s\n", text.c_str());
    } catch (...) {
      std::fputs("rankpool: a callback threw\n", stderr);
    }
  }
};

/// What futures of all types have in common.
class FutureCall : public AsyncCall {
 public:
  /// Runs the callbacks in the order in which they were added, those added meanwhile too.
  void call_back() noexcept final {
    std::unique_lock lock(mutex_);
    caller_ = pthread_self();
    stage_.store(Stage::calling_back, std::memory_order_release);
    while (!callbacks_.empty()) {
      std::vector<std::unique_ptr<CallBack>> batch = std::exchange(callbacks_, {});
      lock.unlock();
      for (std::unique_ptr<CallBack>& callback : batch) {
        callback->run_logged();
        callback.reset();
      }
      lock.lock();
    }
    order_ = finished_calls.fetch_add(1, std::memory_order_relaxed);
    stage_.store(Stage::over, std::memory_order_release);
    observers_.tell(order_);
  }

  /// Runs the callback once the results stand: at once, in this thread, where all others have run.
  /// @throws std::logic_error when the result has been moved out.
  void add_callback(std::unique_ptr<CallBack> callback) {
    {
      const std::lock_guard lock(mutex_);
      require_not_taken();
      if (stage() < Stage::over) {
        callbacks_.push_back(std::move(callback));
        return;
      }
    }
    callback->run_logged();
  }

  /// The observer hears of the end of the call, at once when that is over. It must be removed before it dies.
  void add_observer(Observer& observer) {
    const std::lock_guard lock(mutex_);
    if (stage() < Stage::over)
      observers_.add(observer);
    else
      observer.finished(order_);
  }

  void remove_observer(Observer& observer) {
    const std::lock_guard lock(mutex_);
    ObserverRing::remove(observer);
  }

  /// Whether the results may be looked at: by everybody once the callbacks have run, which is a moment before done(),
  /// and before that by the callbacks.
  [[nodiscard]] bool settled() const noexcept { return stage() >= Stage::over || in_callback(); }

  /// Blocks until settled().
  /// @returns false when the deadline passed before.
  bool await(Deadline deadline) {
    if (settled()) return true;
    if (const std::shared_ptr<PoolCore> core = pool()) {
      return core->await([this] { return done(); }, deadline) || done();
    }
    if (!done()) throw BrokenPool("the pool has gone, and left a call without an end");
    return true;
  }

  [[nodiscard]] bool cancel_call() {
    if (!done()) {
      if (const std::shared_ptr<PoolCore> core = pool()) return core->cancel(*this);
    }
    return cancelled();
  }

  [[nodiscard]] bool running() const {
    if (done()) return false;
    const std::shared_ptr<PoolCore> core = pool();
    return core != nullptr && core->running(*this);
  }

  /// Whether cancel() or the end of the pool has ended it. A task that throws a CancelledError of its own has not been
  /// cancelled.
  [[nodiscard]] bool cancelled() const {
    if (was_cancelled()) return true;
    if (!settled() || error_ == nullptr) return false;
    try {
      std::rethrow_exception(error_);
    } catch (const RemoteError&) {
      return false;
    } catch (const CancelledError&) {
      return true;
    } catch (...) {
      return false;
    }
  }

  /// Only when settled(), as for the rest.
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

  /// @throws the error where there is one; std::logic_error when the result has been moved out.
  void require_value() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
    require_not_taken();
  }

  /// From here on the result belongs to the caller.
  /// @throws what require_value() does.
  void take_value() {
    require_value();
    if (stage() < Stage::over) {
      throw std::logic_error(
          "rankpool: a callback must not move the result out of its own future, where the callbacks after it and the "
          "waiters look for it");
    }
    Stage over = Stage::over;
    if (!stage_.compare_exchange_strong(over, Stage::taken)) require_not_taken();
  }

 protected:
  std::exception_ptr error_;

 private:
  enum class Stage : std::uint8_t { pending, calling_back, over, taken };

  [[nodiscard]] Stage stage() const noexcept { return stage_.load(std::memory_order_acquire); }

  [[nodiscard]] bool in_callback() const noexcept {
    return stage() == Stage::calling_back && pthread_equal(caller_, pthread_self()) != 0;
  }

  void require_not_taken() const {
    if (stage() == Stage::taken) {
      throw std::logic_error(
          "rankpool: the result has been moved out by get() of a temporary or moved future; get() of a future with a "
          "name leaves it there for others");
    }
  }

  /// Calls of all pools that have ended.
  static inline std::atomic<std::uint64_t> finished_calls = 0;

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
