/// @file
/// What became of one task: its value or its error.
#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <rankpool/errors.hpp>
#include <rankpool/export.hpp>

namespace rankpool {

/// The value or the error of one task, as `map_outcomes` gives it per input, so that one bad task cannot cost a sweep.
/// Mirrors a finished `concurrent.futures.Future` with its `result()` and `exception()`.
///
/// A plain value type: const members may be called from several threads at once, the others not. An outcome made
/// without arguments has neither value nor error: `has_value()` is false and `value()` throws BrokenPool.
///
/// @tparam R what the task returns; may be move-only, need not be default constructible.
template <class R>
class [[nodiscard]] Outcome {
  static_assert(!std::is_reference_v<R> && !std::is_const_v<R>,
                "rankpool: an outcome holds a value: name the type without const and &.");

 public:
  using value_type = R;  ///< what the task returns

  /// Neither a value nor an error.
  Outcome() noexcept = default;

  /// @param value what the task returned.
  Outcome(R value) noexcept(std::is_nothrow_move_constructible_v<R>)   // NOLINT(google-explicit-constructor): a value
      : state_(std::in_place_index<value_index>, std::move(value)) {}  // is an outcome

  /// @param error what the task threw, not null.
  /// @returns the outcome of a task that failed.
  static Outcome failure(std::exception_ptr error) noexcept {
    Outcome outcome;
    *std::get_if<error_index>(&outcome.state_) = std::move(error);
    return outcome;
  }

  /// @returns whether the task gave a value.
  [[nodiscard]] bool has_value() const noexcept { return state_.index() == value_index; }
  /// @returns the same as has_value().
  explicit operator bool() const noexcept { return has_value(); }

  /// @returns the value.
  /// @throws the task's error when there is one, as `result()` does in Python.
  [[nodiscard]] R& value() & {
    require_value();
    return **this;
  }
  /// @overload
  [[nodiscard]] const R& value() const& {
    require_value();
    return **this;
  }
  /// @overload
  [[nodiscard]] R&& value() && {
    require_value();
    return *std::move(*this);
  }

  /// @returns the value; only when has_value().
  [[nodiscard]] R& operator*() & noexcept { return *std::get_if<value_index>(&state_); }
  /// @overload
  [[nodiscard]] const R& operator*() const& noexcept { return *std::get_if<value_index>(&state_); }
  /// @overload
  [[nodiscard]] R&& operator*() && noexcept { return std::move(*std::get_if<value_index>(&state_)); }
  /// @returns where the value is; null when there is none.
  [[nodiscard]] R* operator->() noexcept { return std::get_if<value_index>(&state_); }
  /// @overload
  [[nodiscard]] const R* operator->() const noexcept { return std::get_if<value_index>(&state_); }

  /// @returns the task's error; null when there is a value.
  [[nodiscard]] std::exception_ptr exception() const noexcept {
    const auto* error = std::get_if<error_index>(&state_);
    return error != nullptr ? *error : nullptr;
  }

  /// @returns the error's text for printing; empty when there is a value.
  [[nodiscard]] std::string error_text() const { return detail::text_of(exception()); }

 private:
  static constexpr std::size_t error_index = 0;
  static constexpr std::size_t value_index = 1;

  void require_value() const {
    if (has_value()) return;
    if (const std::exception_ptr error = exception()) std::rethrow_exception(error);
    throw BrokenPool("the task has no outcome yet");
  }

  std::variant<std::exception_ptr, R> state_;
};

/// The outcome of a task that returns nothing: `value()` throws the error when there is one.
template <>
class [[nodiscard]] Outcome<void> {
 public:
  using value_type = void;  ///< what the task returns

  /// Neither a good end nor an error: like that of a task that has not ended.
  Outcome() noexcept = default;

  /// @returns the outcome of a task that ended well.
  static Outcome success() noexcept { return Outcome(std::monostate()); }

  /// @param error what the task threw, not null.
  /// @returns the outcome of a task that failed.
  static Outcome failure(std::exception_ptr error) noexcept { return Outcome(std::move(error)); }

  /// @returns whether the task ended well.
  [[nodiscard]] bool has_value() const noexcept { return outcome_.has_value(); }
  /// @returns the same as has_value().
  explicit operator bool() const noexcept { return has_value(); }

  /// @throws the task's error when there is one.
  void value() const { static_cast<void>(outcome_.value()); }
  /// Nothing; for code that is written for any outcome.
  void operator*() const noexcept {}

  /// @returns the task's error; null when it ended well.
  [[nodiscard]] std::exception_ptr exception() const noexcept { return outcome_.exception(); }

  /// @returns the error's text for printing; empty when the task ended well.
  [[nodiscard]] std::string error_text() const { return outcome_.error_text(); }

 private:
  // Built in place: where addresses are instrumented, g++ 12 warns of moves, in the user's code.
  explicit Outcome(std::monostate success) noexcept : outcome_(success) {}
  explicit Outcome(std::exception_ptr error) noexcept : outcome_(Outcome<std::monostate>::failure(std::move(error))) {}

  Outcome<std::monostate> outcome_;
};

}  // namespace rankpool
