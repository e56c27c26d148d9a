/// @file
/// The error of a call whose tasks failed.
#pragma once

#include <cstdint>
#include <exception>
#include <utility>

namespace rankpool::detail {

/// Keeps the error of the lowest index among tasks that end in any order.
class FirstError {
 public:
  void add(std::uint64_t task, std::exception_ptr error) noexcept {
    if (error_ != nullptr && task_ < task) return;
    task_ = task;
    error_ = std::move(error);
  }

  /// @throws the error, if there is one.
  void rethrow() {
    if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  std::uint64_t task_ = 0;
  std::exception_ptr error_;
};

}  // namespace rankpool::detail
