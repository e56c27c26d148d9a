/// @file
/// Where the results of calls go: a value, a vector in input order, or outcomes.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/codec.hpp>
#include <rankpool/detail/kernel.hpp>
#include <rankpool/detail/task_errors.hpp>
#include <rankpool/outcome.hpp>

namespace rankpool::detail {

/// The next encoded result, taken off the front of `rest`.
/// @throws DecodeError when that is too short.
template <class R>
[[nodiscard]] Bytes take_result(Bytes& rest) {
  if constexpr (fixed_size<R>)
    return take_bytes(rest, fixed_bytes<R>);
  else
    return take_frame(rest);
}

/// Takes a run of encoded results apart: calls `store(task, decode)` for each, where `decode()` gives its R, and
/// `fail(task, error)` where that throws. Bytes that make no sense, because a task wrote over them, are the error of
/// all tasks from there on.
template <class R>
void for_each_result(std::uint64_t first, std::uint64_t count, Bytes encoded, auto&& store, auto&& fail) {
  const std::uint64_t end = first + count;
  std::exception_ptr damage;
  std::uint64_t task = first;
  for (; task != end; ++task) {
    Bytes result;
    try {
      result = take_result<R>(encoded);
      if (task + 1 == end && !encoded.empty()) [[unlikely]]
        throw_too_long("the results of a run of tasks", encoded.size());
    } catch (...) {
      damage = std::current_exception();
      break;
    }
    try {
      store(task, [result] { return decode<R>(result); });
    } catch (...) {
      fail(task, std::current_exception());
    }
  }
  for (; task != end; ++task) fail(task, damage);
}

/// A place for each of a growing number of values that come in any order. It holds Ts where empty ones are cheap to
/// make, otherwise none is made before it comes.
template <class T>
class Slots {
 public:
  void reserve(std::size_t size) { slots_.reserve(size); }

  void grow(std::size_t size) {
    if (size > slots_.capacity()) slots_.reserve(std::max(size, 2 * slots_.capacity()));
    if (size > slots_.size()) slots_.resize(size);
  }

  template <std::invocable Make>
  void emplace(std::size_t place, Make&& make) {
    if constexpr (holds_values)
      slots_[place] = make();
    else
      slots_[place].emplace(make());
  }

  [[nodiscard]] std::vector<T> take() {
    if constexpr (holds_values) {
      return std::move(slots_);
    } else {
      std::vector<T> values;
      values.reserve(slots_.size());
      for (std::optional<T>& slot : slots_) values.push_back(*std::move(slot));
      slots_.clear();
      return values;
    }
  }

 private:
  static constexpr bool holds_values =
      std::default_initializable<T> && std::is_move_assignable_v<T> && (fixed_size<T> || is_specialization<T, Outcome>);

  std::vector<std::conditional_t<holds_values, T, std::optional<T>>> slots_;
};

/// Results that arrive as the bytes they have in a vector, and so are copied there a run at a time.
template <class R>
concept copied_results =
    bitwise<R> && std::default_initializable<R> && std::is_move_assignable_v<R> && !std::same_as<R, bool>;

/// A vector that runs of results are copied into.
template <copied_results R>
class ResultVector {
 public:
  void reserve(std::size_t size) { results_.reserve(size); }

  void grow(std::size_t size) {
    if (size > results_.capacity()) results_.reserve(std::max(size, 2 * results_.capacity()));
  }

  /// @throws DecodeError when `encoded` is not `count` results.
  void copy(std::size_t first, std::size_t count, Bytes encoded) {
    if (encoded.size() / sizeof(R) < count) [[unlikely]]
      throw_too_short("a run of results", count, encoded.size() / sizeof(R));
    if (encoded.size() != count * sizeof(R)) [[unlikely]]
      throw_too_long("a run of results", encoded.size() - count * sizeof(R));
    const bool aligned = reinterpret_cast<std::uintptr_t>(encoded.data()) % alignof(R) == 0;
    if (first == results_.size() && aligned) {
      // Most runs come in order: appending spares the zeroes of a resize.
      const R* from = reinterpret_cast<const R*>(encoded.data());
      results_.insert(results_.end(), from, from + count);
      return;
    }
    if (first + count > results_.size()) results_.resize(first + count);
    decode_fixed_run(encoded.data(), count, results_.data() + first);
  }

  [[nodiscard]] std::vector<R> take() { return std::move(results_); }

 private:
  std::vector<R> results_;
};

/// Results of a call that throws its first error.
template <class R>
class MapSink final : public ResultSink {
 public:
  void reserve(std::uint64_t tasks) { results_.reserve(static_cast<std::size_t>(tasks)); }

  void expect(std::uint64_t tasks) override { results_.grow(static_cast<std::size_t>(tasks)); }

  void values(std::uint64_t first, std::uint64_t count, Bytes encoded) override {
    if constexpr (copied_results<R>) {
      try {
        results_.copy(static_cast<std::size_t>(first), static_cast<std::size_t>(count), encoded);
      } catch (const DecodeError&) {
        errors_.add(first, std::current_exception());
      }
    } else {
      for_each_result<R>(
          first, count, encoded,
          [this](std::uint64_t task, auto decode) { results_.emplace(static_cast<std::size_t>(task), decode); },
          [this](std::uint64_t task, std::exception_ptr error) { errors_.add(task, std::move(error)); });
    }
  }

  void error(std::uint64_t task, std::exception_ptr error) override { errors_.add(task, std::move(error)); }

  /// @throws the error of the lowest index, if there is one.
  [[nodiscard]] std::vector<R> take() {
    errors_.rethrow();
    return results_.take();
  }

 private:
  template <class T>
  struct Storage {
    using type = Slots<T>;
  };
  template <copied_results T>
  struct Storage<T> {
    using type = ResultVector<T>;
  };

  typename Storage<R>::type results_;
  FirstError errors_;
};

/// Tasks that return nothing.
template <>
class MapSink<void> final : public ResultSink {
 public:
  void reserve(std::uint64_t /*tasks*/) {}
  void expect(std::uint64_t /*tasks*/) override {}
  void values(std::uint64_t /*first*/, std::uint64_t /*count*/, Bytes /*encoded*/) override {}
  void error(std::uint64_t task, std::exception_ptr error) override { errors_.add(task, std::move(error)); }
  void take() { errors_.rethrow(); }

 private:
  FirstError errors_;
};

/// The value or the error of each task.
template <class R>
class OutcomeSink final : public ResultSink {
 public:
  void reserve(std::uint64_t tasks) { outcomes_.reserve(static_cast<std::size_t>(tasks)); }

  void expect(std::uint64_t tasks) override { outcomes_.grow(static_cast<std::size_t>(tasks)); }

  void values(std::uint64_t first, std::uint64_t count, Bytes encoded) override {
    if constexpr (std::is_void_v<R>) {
      for (std::uint64_t task = first; task < first + count; ++task) put(task, Outcome<void>::success);
    } else {
      for_each_result<R>(
          first, count, encoded,
          [this](std::uint64_t task, auto decode) { this->put(task, [&decode] { return Outcome<R>(decode()); }); },
          [this](std::uint64_t task, std::exception_ptr failure) { error(task, std::move(failure)); });
    }
  }

  void error(std::uint64_t task, std::exception_ptr error) override {
    put(task, [&error] { return Outcome<R>::failure(std::move(error)); });
  }

  [[nodiscard]] std::vector<Outcome<R>> take() { return outcomes_.take(); }

 private:
  void put(std::uint64_t task, auto&& make) { outcomes_.emplace(static_cast<std::size_t>(task), make); }

  Slots<Outcome<R>> outcomes_;
};

/// The result of the one task of `apply`.
template <class R>
class ApplySink final : public ResultSink {
 public:
  void expect(std::uint64_t /*tasks*/) override {}

  void values(std::uint64_t /*first*/, std::uint64_t /*count*/, [[maybe_unused]] Bytes encoded) override {
    if constexpr (!std::is_void_v<R>) {
      for_each_result<R>(
          0, 1, encoded, [this](std::uint64_t /*task*/, auto decode) { result_.emplace(decode()); },
          [this](std::uint64_t task, std::exception_ptr failure) { error(task, std::move(failure)); });
    }
  }

  void error(std::uint64_t /*task*/, std::exception_ptr error) override { error_ = std::move(error); }

  [[nodiscard]] R take() {
    if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
    if constexpr (!std::is_void_v<R>) return *std::move(result_);
  }

 private:
  struct Nothing {};
  std::optional<std::conditional_t<std::is_void_v<R>, Nothing, R>> result_;
  std::exception_ptr error_;
};

}  // namespace rankpool::detail
