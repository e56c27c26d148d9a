/// @file
/// Random numbers that depend on the task alone, not on who runs it, when, or how often it is tried.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include <rankpool/export.hpp>

namespace rankpool {

/// The random numbers of one task: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
/// 2011), a counter-based generator; the streams of a call's tasks don't overlap. A standard
/// UniformRandomBitGenerator: the standard library's distributions take it. Not thread-safe; copies go on
/// independently, with the same numbers. Python: the nearest is `numpy.random.Generator(numpy.random.Philox(...))`.
class TaskRng {
 public:
  using result_type = std::uint64_t;  ///< what a number is

  /// @returns the least number there is.
  static constexpr result_type min() { return 0; }
  /// @returns the largest.
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }

  /// @returns the stream's next number; each of the 2^64 is equally likely.
  result_type operator()() {
    if (next_ == numbers_per_block) refill();
    return numbers_[next_++];
  }

  /// Passes over `count` numbers, however many, in constant time.
  RANKPOOL_API void discard(std::uint64_t count);

  /// @returns whether both will give the same numbers from here on.
  [[nodiscard]] friend bool operator==(const TaskRng& a, const TaskRng& b) {
    return a.key_ == b.key_ && a.stream_ == b.stream_ && a.position() == b.position();
  }

  friend RANKPOOL_API TaskRng task_rng(std::uint64_t seed, std::uint64_t index, std::uint64_t call);

 private:
  static constexpr std::size_t numbers_per_block = 2;

  TaskRng(std::uint64_t key, std::uint64_t stream) : key_(key), stream_(stream) {}

  RANKPOOL_API void refill();
  /// Numbers of the stream that were taken.
  [[nodiscard]] std::uint64_t position() const { return block_ * numbers_per_block - (numbers_per_block - next_); }

  std::uint64_t key_;
  std::uint64_t stream_;
  std::uint64_t block_ = 0;  ///< the next to be made
  std::size_t next_ = numbers_per_block;
  std::array<std::uint64_t, numbers_per_block> numbers_{};
};

/// The numbers that this_task::rng() has in a task, also outside a pool: a serial loop over the same inputs gets the
/// same ones. Thread-safe.
/// @param seed as PoolOptions::seed, 0 where none was given.
/// @param index the task's index in its call, as this_task::index().
/// @param call the call's number in its pool: the first is 1, and all count, streams and futures too, in the order in
/// which they were made.
[[nodiscard]] RANKPOOL_API TaskRng task_rng(std::uint64_t seed, std::uint64_t index, std::uint64_t call = 1);

namespace this_task {

/// The running task's own random numbers. They are given by the pool's seed, the call's number and the task's index:
/// the same for any number of executors, chunks and ranks, any schedule, and for another try of the task. Each task
/// begins its stream anew. Where threads of the master make calls at once, which call has which number is for chance to
/// decide.
///
///     double sample(int) { return std::normal_distribution()(rankpool::this_task::rng()); }
///
/// @returns the generator; the same one throughout a task, to be used in the task's own thread, and not after the task.
/// @throws std::logic_error outside a task.
[[nodiscard]] RANKPOOL_API TaskRng& rng();

}  // namespace this_task
}  // namespace rankpool
