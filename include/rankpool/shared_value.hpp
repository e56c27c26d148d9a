/// @file
/// Numbers and plain structs that all tasks of a pool and its master see: Value and Array.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <rankpool/detail/shared.hpp>
#include <rankpool/detail/shared_cells.hpp>

namespace rankpool {

/// A value that the master and all tasks, on any rank, see and change. Pool::value() makes one; this is a handle on it,
/// which is copied, captured by lambdas, and given to tasks as an argument. It lives as long as its pool, unless it is
/// destroyed.
///
/// Each call is one indivisible step, also for a struct: nobody sees half a value, whoever dies. What T may be:
/// numbers, enums, trivially copyable classes without pointers, and pairs, tuples, arrays and optionals of such.
///
/// All calls may be made from any thread of a task or of the master, at any time. On the master's node a number takes
/// some 20 ns, on others a message there and back. They throw std::logic_error when the object was destroyed or its
/// pool has ended. While a task on another node waits for something shared, calls of its other threads wait too.
/// Mirrors `multiprocessing.Value`, whose `with value.get_lock()` is fetch_add() or update() here.
template <class T>
class Value {
  static_assert(detail::explain_cell<T>());

 public:
  /// No object yet: to be assigned one. All calls throw std::logic_error.
  Value() = default;
  /// For the library: see Pool::value().
  explicit Value(const detail::SharedHandle& handle) : handle_(handle) {}

  /// @returns the value. Mirrors `value.value`.
  [[nodiscard]] T get() const { return cells().read(0, "Value::get"); }

  /// Makes it `value`. Mirrors `value.value = ...`.
  void set(const T& value) const { cells().write(0, std::span(&value, 1), "Value::set"); }

  /// Adds to it; integers wrap. Mirrors `with value.get_lock(): value.value += amount`.
  /// @returns what it was before.
  T fetch_add(T amount) const requires std::is_arithmetic_v<T> { return cells().add(0, amount, "Value::fetch_add"); }

  /// Makes it `desired` if it is `expected`, bit by bit: a NaN is itself, and 0.0 is not -0.0.
  /// @param expected becomes what it is, if that is something else.
  /// @param desired what it becomes otherwise.
  /// @returns whether it was.
  bool compare_exchange(T& expected, const T& desired) const {
    return cells().compare_exchange(0, expected, desired, "Value::compare_exchange");
  }

  /// Makes it what `f` makes of it. `f` is called here, again whenever another has changed the value meanwhile: it
  /// should be short, and do nothing but reckon.
  /// @param f gives the new value for the old one.
  /// @returns the new value.
  template <class F>
  T update(const F& f) const {
    return cells().update(0, f, "Value::update");
  }

  /// Ends the object for everybody, before its pool does. For the master, when none of its threads uses it.
  /// @throws std::logic_error inside a task.
  void destroy() const { detail::destroy_shared(handle_); }

 private:
  [[nodiscard]] detail::CellsOf<T> cells() const { return detail::CellsOf<T>(handle_); }

  detail::SharedHandle handle_;
};

/// Elements of one type that the master and all tasks see and change; else like Value. Pool::array() makes one. Each
/// element is read and written in one indivisible step; a call for many of them is one message, but others may come
/// between one element and the next. Mirrors `multiprocessing.Array`.
template <class T>
class Array {
  static_assert(detail::explain_cell<T>());

 public:
  /// No object yet: to be assigned one. All calls throw std::logic_error.
  Array() = default;
  /// For the library: see Pool::array().
  Array(const detail::SharedHandle& handle, std::uint64_t size) : handle_(handle), size_(size) {}

  /// @returns the number of elements.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

  /// @param i from 0.
  /// @returns element i. Mirrors `array[i]`.
  /// @throws std::out_of_range, as all of these do.
  [[nodiscard]] T get(std::uint64_t i) const { return cells().read(i, "Array::get"); }

  /// @returns elements [first, first + count). Mirrors `array[first:first + count]`.
  [[nodiscard]] std::vector<T> get(std::uint64_t first, std::uint64_t count) const {
    return cells().read(first, count, "Array::get");
  }

  /// @returns all elements. Mirrors `array[:]`.
  [[nodiscard]] std::vector<T> get() const { return cells().read(0, size_, "Array::get"); }

  /// Mirrors `array[i] = value`.
  void set(std::uint64_t i, const T& value) const { cells().write(i, std::span(&value, 1), "Array::set"); }

  /// Writes `values` to the elements from `first` on. Mirrors `array[first:first + len(values)] = values`.
  void put(std::uint64_t first, std::span<const T> values) const { cells().write(first, values, "Array::put"); }

  /// Adds to element i; integers wrap.
  /// @returns what it was before.
  T fetch_add(std::uint64_t i, T amount) const requires std::is_arithmetic_v<T> {
    return cells().add(i, amount, "Array::fetch_add");
  }

  /// As Value::compare_exchange(), for element i.
  bool compare_exchange(std::uint64_t i, T& expected, const T& desired) const {
    return cells().compare_exchange(i, expected, desired, "Array::compare_exchange");
  }

  /// As Value::update(), for element i.
  template <class F>
  T update(std::uint64_t i, const F& f) const {
    return cells().update(i, f, "Array::update");
  }

  /// Ends the object for everybody, before its pool does. For the master, when none of its threads uses it.
  /// @throws std::logic_error inside a task.
  void destroy() const { detail::destroy_shared(handle_); }

 private:
  [[nodiscard]] detail::CellsOf<T> cells() const { return detail::CellsOf<T>(handle_); }

  detail::SharedHandle handle_;
  std::uint64_t size_ = 0;
};

}  // namespace rankpool
