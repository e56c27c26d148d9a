/// @file
/// The calls of a pool whose results are read while they go on.
#pragma once

#include <concepts>
#include <initializer_list>
#include <utility>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/pool_calls.hpp>
#include <rankpool/detail/stream_pool_calls.hpp>
#include <rankpool/options.hpp>
#include <rankpool/result_stream.hpp>

namespace rankpool {

/// The calls of Pool whose results are read one by one while they go on: a part of Pool, whose documentation says what
/// holds for all calls.
class PoolStreams {
 public:
  /// Runs `f(element)` for every element of a range while the results are read, one by one, in the range's order.
  /// Returns as soon as the first inputs are drawn: when those are slow, the very first. Mirrors `Pool.imap`, and
  /// `Executor.map` with `buffersize` (Python 3.14):
  ///
  ///     for (double energy : pool.imap(simulate, parameters)) std::cout << energy << '\n';
  ///
  /// @param f as in map().
  /// @param range any input range, also an endless one; walked once, no further ahead of the reader than
  ///   MapOptions::buffersize says, and only in the threads that call this and read the stream. An rvalue is moved into
  ///   the stream; a range with a name is referred to, and must live as long as the stream. What it throws is thrown in
  ///   its place by the stream, as is what the serialization of its elements throws.
  /// @param options of this call; `buffersize` is for streams.
  /// @returns a ResultStream<R>, an input range with `next()`; dropping it cancels what has not started. It may be read
  ///   in another thread than this.
  template <class F, class Range>
  auto imap(const F& f, Range&& range, const MapOptions& options = {}) {
    return detail::imap<detail::Order::input>(core(), "imap", options, f, std::forward<Range>(range));
  }

  /// Runs `f(a, b, ...)` for the elements of two to six ranges, walked together until the shortest ends.
  template <class F, detail::input R1, detail::input R2>
  auto imap(const F& f, R1&& r1, R2&& r2, const MapOptions& options = {}) {
    return detail::imap<detail::Order::input>(core(), "imap", options, f, std::forward<R1>(r1), std::forward<R2>(r2));
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3>
  auto imap(const F& f, R1&& r1, R2&& r2, R3&& r3, const MapOptions& options = {}) {
    return detail::imap<detail::Order::input>(core(), "imap", options, f, std::forward<R1>(r1), std::forward<R2>(r2),
                                              std::forward<R3>(r3));
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4>
  auto imap(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, const MapOptions& options = {}) {
    return detail::imap<detail::Order::input>(core(), "imap", options, f, std::forward<R1>(r1), std::forward<R2>(r2),
                                              std::forward<R3>(r3), std::forward<R4>(r4));
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4, detail::input R5>
  auto imap(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, R5&& r5, const MapOptions& options = {}) {
    return detail::imap<detail::Order::input>(core(), "imap", options, f, std::forward<R1>(r1), std::forward<R2>(r2),
                                              std::forward<R3>(r3), std::forward<R4>(r4), std::forward<R5>(r5));
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4, detail::input R5,
            detail::input R6>
  auto imap(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, R5&& r5, R6&& r6, const MapOptions& options = {}) {
    return detail::imap<detail::Order::input>(core(), "imap", options, f, std::forward<R1>(r1), std::forward<R2>(r2),
                                              std::forward<R3>(r3), std::forward<R4>(r4), std::forward<R5>(r5),
                                              std::forward<R6>(r6));
  }

  /// `imap(square, {1, 2, 3, 4})`: the stream keeps a copy of the list.
  template <class F, class T>
  auto imap(const F& f, std::initializer_list<T> elements, const MapOptions& options = {}) {
    return detail::imap<detail::Order::input>(core(), "imap", options, f, detail::copy_of_list(elements));
  }
  /// @overload
  template <detail::takes_one F>
  auto imap(const F& f, detail::ParameterList<F> elements, const MapOptions& options = {}) {
    return detail::imap<detail::Order::input>(core(), "imap", options, f, detail::copy_of_list(elements.list));
  }

  /// The same, with the results as they arrive. Mirrors `Pool.imap_unordered`.
  template <class F, class Range>
  auto imap_unordered(const F& f, Range&& range, const MapOptions& options = {}) {
    return detail::imap<detail::Order::arrival>(core(), "imap_unordered", options, f, std::forward<Range>(range));
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2>
  auto imap_unordered(const F& f, R1&& r1, R2&& r2, const MapOptions& options = {}) {
    return detail::imap<detail::Order::arrival>(core(), "imap_unordered", options, f, std::forward<R1>(r1),
                                                std::forward<R2>(r2));
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3>
  auto imap_unordered(const F& f, R1&& r1, R2&& r2, R3&& r3, const MapOptions& options = {}) {
    return detail::imap<detail::Order::arrival>(core(), "imap_unordered", options, f, std::forward<R1>(r1),
                                                std::forward<R2>(r2), std::forward<R3>(r3));
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4>
  auto imap_unordered(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, const MapOptions& options = {}) {
    return detail::imap<detail::Order::arrival>(core(), "imap_unordered", options, f, std::forward<R1>(r1),
                                                std::forward<R2>(r2), std::forward<R3>(r3), std::forward<R4>(r4));
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4, detail::input R5>
  auto imap_unordered(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, R5&& r5, const MapOptions& options = {}) {
    return detail::imap<detail::Order::arrival>(core(), "imap_unordered", options, f, std::forward<R1>(r1),
                                                std::forward<R2>(r2), std::forward<R3>(r3), std::forward<R4>(r4),
                                                std::forward<R5>(r5));
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4, detail::input R5,
            detail::input R6>
  auto imap_unordered(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, R5&& r5, R6&& r6,
                      const MapOptions& options = {}) {
    return detail::imap<detail::Order::arrival>(core(), "imap_unordered", options, f, std::forward<R1>(r1),
                                                std::forward<R2>(r2), std::forward<R3>(r3), std::forward<R4>(r4),
                                                std::forward<R5>(r5), std::forward<R6>(r6));
  }
  /// @overload
  template <class F, class T>
  auto imap_unordered(const F& f, std::initializer_list<T> elements, const MapOptions& options = {}) {
    return detail::imap<detail::Order::arrival>(core(), "imap_unordered", options, f, detail::copy_of_list(elements));
  }
  /// @overload
  template <detail::takes_one F>
  auto imap_unordered(const F& f, detail::ParameterList<F> elements, const MapOptions& options = {}) {
    return detail::imap<detail::Order::arrival>(core(), "imap_unordered", options, f,
                                                detail::copy_of_list(elements.list));
  }

  /// Like imap(), for a range of tuples, pairs or arrays, each unpacked into the task's arguments. Python's pools have
  /// `imap` and `starmap`, but nothing that is both.
  template <class F, class Range>
  auto istarmap(const F& f, Range&& range, const MapOptions& options = {}) {
    return detail::istarmap<detail::Order::input>(core(), "istarmap", options, f, std::forward<Range>(range));
  }
  /// @overload
  template <class F, class T>
  requires(!std::same_as<T, detail::arguments_of_t<F>>) auto istarmap(const F& f, std::initializer_list<T> elements,
                                                                      const MapOptions& options = {}) {
    return detail::istarmap<detail::Order::input>(core(), "istarmap", options, f, detail::copy_of_list(elements));
  }
  /// @overload
  template <detail::has_signature F>
  auto istarmap(const F& f, std::initializer_list<detail::arguments_of_t<F>> elements, const MapOptions& options = {}) {
    return detail::istarmap<detail::Order::input>(core(), "istarmap", options, f, detail::copy_of_list(elements));
  }

  /// The same, with the results as they arrive.
  template <class F, class Range>
  auto istarmap_unordered(const F& f, Range&& range, const MapOptions& options = {}) {
    return detail::istarmap<detail::Order::arrival>(core(), "istarmap_unordered", options, f,
                                                    std::forward<Range>(range));
  }
  /// @overload
  template <class F, class T>
  requires(!std::same_as<T, detail::arguments_of_t<F>>) auto istarmap_unordered(const F& f,
                                                                                std::initializer_list<T> elements,
                                                                                const MapOptions& options = {}) {
    return detail::istarmap<detail::Order::arrival>(core(), "istarmap_unordered", options, f,
                                                    detail::copy_of_list(elements));
  }
  /// @overload
  template <detail::has_signature F>
  auto istarmap_unordered(const F& f, std::initializer_list<detail::arguments_of_t<F>> elements,
                          const MapOptions& options = {}) {
    return detail::istarmap<detail::Order::arrival>(core(), "istarmap_unordered", options, f,
                                                    detail::copy_of_list(elements));
  }

 protected:
  PoolStreams() noexcept = default;
  PoolStreams(const PoolStreams&) = delete;
  PoolStreams& operator=(const PoolStreams&) = delete;
  ~PoolStreams() = default;

 private:
  [[nodiscard]] detail::PoolCore& core() const;  // in pool.hpp
};

}  // namespace rankpool
