/// @file
/// Waiting for several futures: `wait` and `as_completed` of `concurrent.futures`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include <rankpool/detail/bitwise.hpp>
#include <rankpool/detail/completions.hpp>
#include <rankpool/detail/deadline.hpp>
#include <rankpool/errors.hpp>
#include <rankpool/future.hpp>
#include <rankpool/options.hpp>

namespace rankpool {

/// What wait() waits for. Mirrors the constants `FIRST_COMPLETED`, `FIRST_EXCEPTION` and `ALL_COMPLETED`.
enum class When : std::uint8_t {
  first_completed,  ///< any future to be ready
  first_exception,  ///< any to end with an error other than a cancellation; otherwise all
  all_completed,    ///< all to be ready
};

/// The futures given to wait(), each once, in the order in which they were given.
template <class R>
struct Waited {
  std::vector<Future<R>> done;      ///< those that are ready
  std::vector<Future<R>> not_done;  ///< the others
};

namespace detail {

template <class Range>
consteval bool explain_futures() {
  constexpr bool futures = is_specialization<std::ranges::range_value_t<Range>, Future>;
  static_assert(futures, "rankpool: wait and as_completed take a range of futures, all of the same type.");
  return futures;
}

/// @returns the futures of a range, each once, in its order.
/// @throws std::logic_error where one refers to no call.
template <class Range>
auto distinct_futures(Range& range) {
  using ThisFuture = std::ranges::range_value_t<Range>;
  std::vector<ThisFuture> futures;
  if constexpr (std::ranges::sized_range<Range>) futures.reserve(static_cast<std::size_t>(std::ranges::size(range)));
  for (auto&& future : range) futures.push_back(future);
  std::vector<std::pair<const FutureCall*, std::size_t>> calls;
  calls.reserve(futures.size());
  for (const ThisFuture& future : futures) calls.emplace_back(&FutureAccess::state(future), calls.size());
  std::ranges::sort(calls);
  // Of those that are the same, all but the first in the range.
  for (std::size_t i = 1; i < calls.size(); ++i) {
    if (calls[i].first == calls[i - 1].first) futures[calls[i].second] = ThisFuture();
  }
  std::erase_if(futures, [](const ThisFuture& future) { return !future.valid(); });
  return futures;
}

template <class R>
std::vector<FutureCall*> calls_of(const std::vector<Future<R>>& futures) {
  std::vector<FutureCall*> calls;
  calls.reserve(futures.size());
  for (const Future<R>& future : futures) calls.push_back(&FutureAccess::state(future));
  return calls;
}

/// Whether a wait is over without waiting; a future whose callback asks counts as ready.
template <class Call>
bool needs_no_waiting(const std::vector<Call*>& calls, When when) {
  const auto failed = [](const Call* call) {
    return call->settled() && call->error() != nullptr && !call->cancelled();
  };
  if (when == When::first_completed && std::ranges::any_of(calls, &Call::settled)) return true;
  if (when == When::first_exception && std::ranges::any_of(calls, failed)) return true;
  return std::ranges::all_of(calls, &Call::settled);
}

/// Waits as long as `when` says. A template so that only those who use it have it compiled.
template <class Call>
void await_calls(const std::vector<Call*>& calls, When when, Deadline deadline) {
  Completions completions(calls);
  std::size_t seen = 0;
  bool failed = false;
  const auto enough = [&] {
    const std::size_t done = completions.done();
    if (done == calls.size()) return true;
    if (when == When::first_completed) return done != 0;
    if (when == When::all_completed) return false;
    for (; seen < done && !failed; ++seen) {
      const Call& call = *calls[completions[seen]];
      failed = call.error() != nullptr && !call.cancelled();
    }
    return failed;
  };
  completions.await(std::cref(enough), deadline);
}

template <class Range>
auto wait_for(Range& futures, When when, std::optional<Seconds> timeout) {
  if constexpr (explain_futures<Range>()) {
    const Deadline deadline = timeout ? deadline_after(*timeout) : std::nullopt;
    auto distinct = distinct_futures(futures);
    const std::vector<FutureCall*> calls = calls_of(distinct);
    const bool may_wait = !timeout || *timeout > Seconds::zero();
    if (may_wait && !needs_no_waiting(calls, when)) await_calls(calls, when, deadline);
    Waited<typename std::ranges::range_value_t<Range>::value_type> waited;
    for (auto& future : distinct) (future.ready() ? waited.done : waited.not_done).push_back(std::move(future));
    return waited;
  }
}

}  // namespace detail

/// Waits for futures, of one pool or of several. Mirrors `concurrent.futures.wait`.
///
///     const auto [done, not_done] = rankpool::wait(futures, rankpool::When::first_completed, 5s);
///
/// May be called from any thread; in a callback only where nothing is left to wait for, or with no time to wait.
/// @param futures a range or a list in braces; duplicates count once.
/// @param when how many of them to wait for. With no futures at all it returns at once.
/// @param timeout how long at most, in seconds; 0 and less: don't wait, nor look at the pool (see Pool::open); not
/// given: as
///   long as it takes.
/// @returns those that are ready and those that are not; when the time has passed, too.
/// @throws std::logic_error where a future refers to no call, and where it would have to wait in a callback.
template <std::ranges::input_range Range>
auto wait(Range&& futures, When when = When::all_completed, std::optional<Seconds> timeout = {}) {
  return detail::wait_for(futures, when, timeout);
}
/// `wait({first, second})`.
template <class R>
Waited<R> wait(std::initializer_list<Future<R>> futures, When when = When::all_completed,
               std::optional<Seconds> timeout = {}) {
  return detail::wait_for(futures, when, timeout);
}
/// `wait(futures, 5s)`: for all of them.
template <std::ranges::input_range Range>
auto wait(Range&& futures, Seconds timeout) {
  return detail::wait_for(futures, When::all_completed, timeout);
}
/// `wait({first, second}, 5s)`: for both.
template <class R>
Waited<R> wait(std::initializer_list<Future<R>> futures, Seconds timeout) {
  return detail::wait_for(futures, When::all_completed, timeout);
}

/// Futures as they become ready: a single-pass range, made by as_completed(). To be used by one thread at a time, and
/// not to be moved while it is iterated over.
template <class R>
class [[nodiscard]] Completed : public std::ranges::view_base {
 public:
  /// For the library; each future once.
  Completed(std::vector<Future<R>> futures, detail::Deadline deadline)
      : futures_(std::move(futures)),
        completions_(std::make_unique<detail::Completions>(detail::calls_of(futures_))),
        deadline_(deadline) {}

  /// The other one is at its end then.
  Completed(Completed&&) noexcept = default;
  /// Drops the range that was here; the other one is at its end then.
  Completed& operator=(Completed&& other) noexcept {
    if (this == &other) return *this;
    completions_ = std::move(other.completions_);  // the old one first: it looks at the calls of the old futures
    futures_ = std::move(other.futures_);
    deadline_ = other.deadline_;
    given_ = other.given_;
    current_ = std::move(other.current_);
    return *this;
  }
  Completed(const Completed&) = delete;
  Completed& operator=(const Completed&) = delete;
  ~Completed() = default;

  /// Stands at one of the futures. All iterators of a range stand where it stands.
  class Iterator {
   public:
    using value_type = Future<R>;            ///< what it stands at
    using difference_type = std::ptrdiff_t;  ///< as iterators have it; there is no difference of two

    /// Stands nowhere; only good for being assigned to.
    Iterator() = default;
    /// For the range: stands where it stands.
    explicit Iterator(Completed& range) : range_(&range) {}

    /// @returns the future; valid until the next step.
    const Future<R>& operator*() const { return range_->current_; }
    /// @returns where it is; valid until the next step.
    const Future<R>* operator->() const { return &range_->current_; }
    /// Waits for the next one.
    /// @throws TimeoutError when the time has passed; std::logic_error in a callback.
    Iterator& operator++() {
      range_->step();
      return *this;
    }
    /// The same; an input iterator has no former place to give.
    void operator++(int) { range_->step(); }
    /// @returns whether all futures have been given.
    friend bool operator==(const Iterator& at, std::default_sentinel_t /*end*/) { return at.at_end(); }

   private:
    [[nodiscard]] bool at_end() const { return !range_->current_.valid(); }

    Completed* range_ = nullptr;
  };

  /// Waits for the first one, or the next one when called again.
  /// @throws as a step of the iterator does.
  Iterator begin() {
    step();
    return Iterator(*this);
  }
  /// @returns what the iterators are compared with.
  static std::default_sentinel_t end() noexcept { return {}; }

 private:
  void step() {
    current_ = {};
    if (completions_ == nullptr) return;  // moved from
    detail::Completions& completions = *completions_;
    if (given_ == completions.size()) return;
    const auto next_is_done = [&completions, given = given_] { return completions.done() > given; };
    if (!completions.await(next_is_done, deadline_)) {
      throw TimeoutError(std::to_string(completions.size() - given_) + " of " + std::to_string(completions.size()) +
                         " futures unfinished");
    }
    current_ = std::move(futures_[completions[given_++]]);  // so that its result dies as soon as nobody needs it
  }

  std::vector<Future<R>> futures_;
  std::unique_ptr<detail::Completions> completions_;
  detail::Deadline deadline_;
  std::size_t given_ = 0;
  Future<R> current_;
};

namespace detail {

template <class Range>
auto completed(Range& futures, std::optional<Seconds> timeout) {
  if constexpr (explain_futures<Range>()) {
    const Deadline deadline = timeout ? deadline_after(*timeout) : std::nullopt;
    return Completed<typename std::ranges::range_value_t<Range>::value_type>(distinct_futures(futures), deadline);
  }
}

}  // namespace detail

/// The given futures as they become ready, those first that were ready before, all in the order in which they became
/// it; duplicates once. Mirrors `concurrent.futures.as_completed`.
///
///     for (const auto& future : rankpool::as_completed(futures)) std::cout << future.get() << '\n';
///
/// A move-only result is moved out of a copy of the handle: `for (auto f : as_completed(fs)) use(std::move(f).get());`.
///
/// @param futures of one pool or of several: a range or a list in braces. It is not needed afterwards.
/// @param timeout how long to wait for all of them, from now on, in seconds; not given: as long as it takes. A step
///   that finds the time passed throws TimeoutError saying how many are left, "2 of 4 futures unfinished".
/// @throws std::logic_error where a future refers to no call.
template <std::ranges::input_range Range>
auto as_completed(Range&& futures, std::optional<Seconds> timeout = {}) {
  return detail::completed(futures, timeout);
}
/// `as_completed({first, second})`.
template <class R>
Completed<R> as_completed(std::initializer_list<Future<R>> futures, std::optional<Seconds> timeout = {}) {
  return detail::completed(futures, timeout);
}

}  // namespace rankpool
