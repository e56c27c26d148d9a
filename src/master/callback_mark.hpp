// Knows which callbacks a thread is in.
#pragma once

#include <memory>
#include <stdexcept>
#include <utility>

#include <rankpool/detail/call_spec.hpp>

namespace rankpool::master {

/// As long as it lives, this thread runs a callback of a call of the given pool.
class CallbackMark {
 public:
  using Pool = std::weak_ptr<const detail::AsyncCore>;

  explicit CallbackMark(Pool pool) noexcept : pool_(std::move(pool)), outer_(std::exchange(innermost, this)) {}
  CallbackMark(const CallbackMark&) = delete;
  CallbackMark& operator=(const CallbackMark&) = delete;
  ~CallbackMark() { innermost = outer_; }

  /// Whether this thread is in a callback, of whatever pool.
  [[nodiscard]] static bool is_set() { return innermost != nullptr; }

  /// For what blocks until something has happened in the pool.
  /// @throws std::logic_error in a callback of that pool.
  static void refuse_blocking(const Pool& pool) {
    for (const CallbackMark* mark = innermost; mark != nullptr; mark = mark->outer_) {
      if (mark->pool_.owner_before(pool) || pool.owner_before(mark->pool_)) continue;
      throw std::logic_error(
          "rankpool: a call that waits for the pool was made in a callback, on which the pool waits; submit the work "
          "and give its future a callback instead");
    }
  }

 private:
  static inline thread_local const CallbackMark* innermost = nullptr;

  Pool pool_;
  const CallbackMark* outer_;
};

}  // namespace rankpool::master
