/// @file
/// Futures: the results of calls that nobody waits for, Python's `AsyncResult` and `concurrent.futures.Future`.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <rankpool/detail/deadline.hpp>
#include <rankpool/detail/future_call.hpp>
#include <rankpool/errors.hpp>
#include <rankpool/options.hpp>

namespace rankpool {

namespace detail {

/// A callback that was not given.
struct NoCallback {
  void operator()(const auto&... /*what*/) const noexcept {}
};

template <class R, class OnValue>
consteval bool explain_on_value() {
  if constexpr (std::is_void_v<R>) {
    static_assert(std::is_invocable_v<OnValue&>,
                  "rankpool: the first callback given to then() is called without arguments, for the task returns "
                  "nothing.");
    return std::is_invocable_v<OnValue&>;
  } else {
    static_assert(std::is_invocable_v<OnValue&, const R&>,
                  "rankpool: the first callback given to then() is called with the result as a constant, which others "
                  "may look at too: take it by value or const reference.");
    return std::is_invocable_v<OnValue&, const R&>;
  }
}

template <class OnError>
consteval bool explain_on_error() {
  static_assert(std::is_invocable_v<OnError&, std::exception_ptr>,
                "rankpool: the second callback given to then() is called with a std::exception_ptr: the task's error.");
  return std::is_invocable_v<OnError&, std::exception_ptr>;
}

struct FutureAccess;

}  // namespace detail

/// The result of a call that goes on while its caller does other things, or its error. Mirrors
/// `multiprocessing.pool.AsyncResult` and `concurrent.futures.Future` in one. Pool's `apply_async`, `submit`,
/// `map_async` and `starmap_async` give futures.
///
/// A future is a handle: copies refer to the same call. Dropping all of them neither cancels the call nor waits for it.
/// Members may be called from any thread at any time, also after the pool's end; one handle must not be assigned to
/// while another thread uses it. Members that block throw std::logic_error in a callback that the pool runs, where
/// nothing could bring what they wait for; a future that is ready gives its result there too.
///
/// All members but valid() throw std::logic_error where the handle refers to no call.
///
/// @tparam R what the call gives: the task's result, a std::vector of them for `map_async`, or `void`. Need not be
///   copyable.
template <class R>
class Future {
 public:
  using value_type = R;  ///< what the call gives
  /// What get() gives of a future with a name.
  using Reference = std::conditional_t<std::is_void_v<R>, void, std::add_lvalue_reference_t<const R>>;

  /// Refers to no call.
  Future() noexcept = default;

  /// For the library: a handle on `state`.
  explicit Future(std::shared_ptr<detail::FutureState<R>> state) noexcept : state_(std::move(state)) {}

  /// @returns whether the handle refers to a call. Not so when it was made without arguments, or moved from.
  [[nodiscard]] bool valid() const noexcept { return state_ != nullptr; }

  // --- the result ---------------------------------------------------------------------------------------------------

  /// Waits for the result. May be called again, and gives the same. Mirrors `AsyncResult.get()`, `Future.result()`.
  /// @returns the result, which lives as long as a handle on the call does; nothing for `void`.
  /// @throws the task's error (see Remote, WorkerLost), for `map_async` that of the lowest index; CancelledError when
  ///   the call was cancelled or the pool terminated; TimeoutError when its own `timeout` passed; BrokenPool.
  Reference get() const& {
    state().await(std::nullopt);
    return look();
  }

  /// The same for a future without a name, `pool.apply_async(f).get()`, or one that is given up,
  /// `std::move(future).get()`: the result is moved out, and may be move-only. Other handles on the call don't have it
  /// any more; their get() throws std::logic_error. Must not happen while another thread looks at the result.
  R get() && {
    state().await(std::nullopt);
    return take();
  }

  /// Waits for the result, but not longer than the given time; may be called again. Mirrors `get(timeout)`,
  /// `result(timeout)`.
  /// @param timeout in seconds: `2s`, `100ms`, `2.5s`. 0 and less: don't wait.
  /// @throws TimeoutError when the time has passed, never before that. The call's own `timeout`
  ///   (MapOptions::timeout) ends it in a TimeoutError as well: then ready() is true, and the error for good.
  Reference get(Seconds timeout) const& {
    require_within(timeout);
    return look();
  }
  /// The same for a future without a name: the result is moved out, as by get() of one.
  /// @param timeout in seconds; 0 and less: don't wait.
  /// @throws TimeoutError when the time has passed; then the future still has its result to come.
  R get(Seconds timeout) && {
    require_within(timeout);
    return take();
  }

  /// Waits until the call has ended, well or not. Mirrors `AsyncResult.wait()`.
  void wait() const { state().await(std::nullopt); }

  /// The same, but not longer than the given time. Mirrors `AsyncResult.wait(timeout)`.
  /// @param timeout in seconds.
  /// @returns whether the call has ended.
  bool wait(Seconds timeout) const { return state().await(detail::deadline_after(timeout)); }

  // --- what has become of it ----------------------------------------------------------------------------------------

  /// @returns whether the call has ended and its callbacks have run; in its own callbacks, true. Doesn't block, and
  ///   doesn't drive the pool: see Pool::open for MPI below MPI_THREAD_MULTIPLE. Mirrors `AsyncResult.ready()`,
  ///   `Future.done()`.
  [[nodiscard]] bool ready() const { return state().settled(); }

  /// @returns whether the call ended without an error. Mirrors `AsyncResult.successful()`.
  /// @throws std::logic_error saying "not ready" before its end.
  [[nodiscard]] bool successful() const {
    if (!ready())
      throw std::logic_error("rankpool: the future is not ready: wait() before asking whether it succeeded");
    return state_->error() == nullptr;
  }

  /// Waits until the call has ended. Mirrors `Future.exception()`.
  /// @returns its error, also a CancelledError; null when there is none.
  [[nodiscard]] std::exception_ptr exception() const {
    state().await(std::nullopt);
    return state_->error();
  }

  /// The same, but waits no longer than the given time. Mirrors `Future.exception(timeout)`.
  /// @param timeout in seconds.
  /// @returns the call's error; null when there is none.
  /// @throws TimeoutError when the time has passed.
  [[nodiscard]] std::exception_ptr exception(Seconds timeout) const {
    require_within(timeout);
    return state_->error();
  }

  /// Cancels what has not started. A call of one task is cancelled while that waits; one of many, as long as it has not
  /// ended. Its future becomes ready with CancelledError, without waiting for what runs of it, which may ask
  /// this_task::stop_requested(). Callbacks of this future, and of others that end meanwhile, may run in it. Mirrors
  /// `Future.cancel()`.
  /// @returns whether the call was cancelled, now or before; when not, nothing has changed.
  bool cancel() const { return state().cancel_call(); }

  /// @returns whether the call was cancelled, or the pool terminated before its end. Mirrors `Future.cancelled()`.
  [[nodiscard]] bool cancelled() const { return state().cancelled(); }

  /// @returns whether the call has not ended, and a task of it has begun or was sent to another node. Mirrors
  ///   `Future.running()`.
  [[nodiscard]] bool running() const { return state().running(); }

  // --- callbacks ----------------------------------------------------------------------------------------------------

  /// Has one of two callbacks run, once, when the call has ended, before anybody who waits for it goes on. Mirrors
  /// `callback` and `error_callback` of `apply_async` and `map_async`, and `Future.add_done_callback`.
  ///
  /// Several run in the order in which they were added. They run one at a time in the thread that drives the pool, also
  /// while all others sleep (but see Pool::open for MPI below MPI_THREAD_MULTIPLE), and should be short; they may start
  /// calls, add callbacks, cancel, and terminate the pool. Where the call had ended before, the callback runs at once
  /// in this thread. What a callback throws is printed to stderr, and changes nothing. A callback is destroyed once one
  /// of the two has run.
  ///
  /// @param on_value called with the result as `const R&`, or without arguments for `void`; `{}` for none.
  /// @param on_error called with the error as std::exception_ptr.
  /// @returns this future.
  /// @throws std::logic_error when the result has been moved out before.
  template <class OnValue = detail::NoCallback, class OnError = detail::NoCallback>
  const Future& then(OnValue on_value, OnError on_error = {}) const& {
    add(std::move(on_value), std::move(on_error));
    return *this;
  }
  /// The same for a future without a name: `pool.submit(f).then(print).get()` moves the result out.
  template <class OnValue = detail::NoCallback, class OnError = detail::NoCallback>
  Future then(OnValue on_value, OnError on_error = {}) && {
    add(std::move(on_value), std::move(on_error));
    return std::move(*this);
  }

  /// @returns whether both refer to the same call, or both to none.
  friend bool operator==(const Future& a, const Future& b) noexcept = default;

 private:
  friend struct detail::FutureAccess;

  [[nodiscard]] detail::FutureState<R>& state() const {
    if (state_ == nullptr) {
      throw std::logic_error(
          "rankpool: this future refers to no call: it was made without arguments, or moved from. apply_async, submit, "
          "map_async and starmap_async give futures");
    }
    return *state_;
  }

  void require_within(Seconds timeout) const {
    if (state().await(detail::deadline_after(timeout))) return;
    detail::throw_late("the future was not ready", timeout);
  }

  Reference look() const {
    state_->require_value();
    if constexpr (!std::is_void_v<R>) return state_->value();
  }

  R take() {
    if constexpr (std::is_void_v<R>) {
      state_->require_value();
    } else {
      state_->take_value();
      return std::move(state_->value());
    }
  }

  template <class OnValue, class OnError>
  void add(OnValue on_value, OnError on_error) const {
    constexpr bool sound =
        detail::all_hold(detail::explain_on_value<R, OnValue>(), detail::explain_on_error<OnError>());
    if constexpr (sound) {
      state().add_callback(std::make_unique<detail::Continuation<R, OnValue, OnError>>(*state_, std::move(on_value),
                                                                                       std::move(on_error)));
    }
  }

  std::shared_ptr<detail::FutureState<R>> state_;
};

/// The name that `multiprocessing` has for it.
template <class R>
using AsyncResult = Future<R>;

namespace detail {

/// What the library sees of a future.
struct FutureAccess {
  template <class R>
  static FutureState<R>& state(const Future<R>& future) {
    return future.state();
  }
};

}  // namespace detail
}  // namespace rankpool

/// Futures of the same call have the same hash, so that a map can tell which input a finished future belongs to.
template <class R>
struct std::hash<rankpool::Future<R>> {
  /// @returns the hash; futures that refer to no call have the same one.
  std::size_t operator()(const rankpool::Future<R>& future) const noexcept {
    return std::hash<const void*>{}(future.valid() ? &rankpool::detail::FutureAccess::state(future) : nullptr);
  }
};
