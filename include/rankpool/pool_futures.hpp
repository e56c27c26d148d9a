/// @file
/// The calls of a pool that nobody waits for.
#pragma once

#include <concepts>
#include <initializer_list>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/pool_calls.hpp>
#include <rankpool/future.hpp>
#include <rankpool/options.hpp>

namespace rankpool {

/// The calls of Pool that nobody waits for: a part of Pool, whose documentation says what holds for all calls.
class PoolFutures {
 public:
  /// Starts `f(args...)` in an executor and returns at once; the arguments have been read by then. Mirrors
  /// `Pool.apply_async`; its callbacks are Future::then.
  /// @returns Future<R>, whose get() gives the result or throws the task's error. It may be dropped: the task runs all
  ///   the same.
  template <class F, class... Args>
  auto apply_async(const F& f, const Args&... args) {
    return detail::apply<detail::Keep::future>(core(), "apply_async", f, args...);
  }

  /// The same. Mirrors `Executor.submit`.
  template <class F, class... Args>
  auto submit(const F& f, const Args&... args) {
    return detail::apply<detail::Keep::future>(core(), "submit", f, args...);
  }

  /// Starts map() and returns at once. Mirrors `Pool.map_async`.
  /// @param f as in map().
  /// @param range walked to its end before the call returns, and not needed afterwards. What it throws, the call does.
  /// @param options of this call.
  /// @returns Future<std::vector<R>>, or Future<void> for a void function: the results in the range's order, or the
  ///   error of the lowest index, once all tasks have ended.
  template <class F, class Range>
  auto map_async(const F& f, Range&& range, const MapOptions& options = {}) {
    return detail::map<detail::Keep::future>(core(), "map_async", options, f, range);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2>
  auto map_async(const F& f, R1&& r1, R2&& r2, const MapOptions& options = {}) {
    return detail::map<detail::Keep::future>(core(), "map_async", options, f, r1, r2);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3>
  auto map_async(const F& f, R1&& r1, R2&& r2, R3&& r3, const MapOptions& options = {}) {
    return detail::map<detail::Keep::future>(core(), "map_async", options, f, r1, r2, r3);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4>
  auto map_async(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, const MapOptions& options = {}) {
    return detail::map<detail::Keep::future>(core(), "map_async", options, f, r1, r2, r3, r4);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4, detail::input R5>
  auto map_async(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, R5&& r5, const MapOptions& options = {}) {
    return detail::map<detail::Keep::future>(core(), "map_async", options, f, r1, r2, r3, r4, r5);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4, detail::input R5,
            detail::input R6>
  auto map_async(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, R5&& r5, R6&& r6, const MapOptions& options = {}) {
    return detail::map<detail::Keep::future>(core(), "map_async", options, f, r1, r2, r3, r4, r5, r6);
  }
  /// @overload
  template <class F, class T>
  auto map_async(const F& f, std::initializer_list<T> elements, const MapOptions& options = {}) {
    return detail::map_list<detail::Keep::future>(core(), "map_async", options, f, elements);
  }
  /// @overload
  template <detail::takes_one F>
  auto map_async(const F& f, detail::ParameterList<F> elements, const MapOptions& options = {}) {
    return detail::map_list<detail::Keep::future>(core(), "map_async", options, f, elements.list);
  }

  /// starmap() as map_async() is map(). Mirrors `Pool.starmap_async`.
  template <class F, class Range>
  auto starmap_async(const F& f, Range&& range, const MapOptions& options = {}) {
    return detail::starmap<detail::Keep::future>(core(), "starmap_async", options, f, range);
  }
  /// @overload
  template <class F, class T>
  requires(!std::same_as<T, detail::arguments_of_t<F>>) auto starmap_async(const F& f,
                                                                           std::initializer_list<T> elements,
                                                                           const MapOptions& options = {}) {
    return detail::starmap<detail::Keep::future>(core(), "starmap_async", options, f, elements);
  }
  /// @overload
  template <detail::has_signature F>
  auto starmap_async(const F& f, std::initializer_list<detail::arguments_of_t<F>> elements,
                     const MapOptions& options = {}) {
    return detail::starmap<detail::Keep::future>(core(), "starmap_async", options, f, elements);
  }

 protected:
  PoolFutures() noexcept = default;
  PoolFutures(const PoolFutures&) = delete;
  PoolFutures& operator=(const PoolFutures&) = delete;
  ~PoolFutures() = default;

 private:
  [[nodiscard]] detail::PoolCore& core() const;  // in pool.hpp
};

}  // namespace rankpool
