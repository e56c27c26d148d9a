/// @file
/// Waiting for several calls at once, of one pool or of several.
///
///   FutureCall ──finished()──► Completions: the calls in the order of their ends ──► wait, as_completed
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/future_call.hpp>
#include <rankpool/export.hpp>

namespace rankpool::detail {

/// Each call's end costs O(1), however many there are. To be used by one thread at a time.
class Completions {
 public:
  /// @param calls each one once; they must live until done() has counted them.
  RANKPOOL_API explicit Completions(const std::vector<FutureCall*>& calls);
  Completions(Completions&&) = delete;
  RANKPOOL_API ~Completions();

  [[nodiscard]] RANKPOOL_API std::size_t size() const noexcept;

  /// @returns how many are done.
  [[nodiscard]] RANKPOOL_API std::size_t done() noexcept;

  /// @param place below done().
  /// @returns the index of the call that was the place-th to end.
  [[nodiscard]] RANKPOOL_API std::size_t operator[](std::size_t place) noexcept;

  /// Blocks until the condition, which asks for done(), holds. It must hold when all are done.
  /// @returns false when the deadline passed before.
  RANKPOOL_API bool await(const Condition& condition, Deadline deadline);

 private:
  class Queue;
  std::unique_ptr<Queue> queue_;
};

}  // namespace rankpool::detail
