/// @file
/// How many tasks an executor claims at a time. Pure arithmetic: no allocation, no clock; runs in executors, straight
/// from shared memory, and in the scheduler, which sizes lots in whole chunks.
#pragma once

#include <algorithm>
#include <cstdint>

#include <rankpool/options.hpp>

namespace rankpool::scheduler {

using Nanoseconds = std::int64_t;

/// Claiming a chunk and handing in its results costs 0.5 to 1 us; in a chunk of this length that is 1 %. Longer chunks
/// would only coarsen the tail.
inline constexpr Nanoseconds target_chunk_time = 100'000;

/// What the next chunk depends on beside the place in the call.
struct ChunkPolicy {
  Schedule schedule = Schedule::automatic;
  std::uint64_t chunksize = 0;  ///< the user's; 0 automatic
  std::uint64_t total = 0;      ///< tasks of the call known so far
  std::uint32_t executors = 1;  ///< in all
  std::uint64_t measured = 0;   ///< tasks that fill target_chunk_time, as the executor measured; 0 unmeasured
};

namespace detail {

constexpr std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

/// Factoring: a batch is one chunk for each executor, together about half of what remained when the batch began. The
/// batch is found from the place alone, so executors need no common state.
constexpr std::uint64_t factoring_chunk(std::uint64_t total, std::uint64_t remaining, std::uint64_t executors,
                                        std::uint64_t least) {
  std::uint64_t batch_remaining = total;
  for (;;) {
    const std::uint64_t chunk = ceil_div(batch_remaining, 2 * executors);
    if (chunk <= least) return least;
    const std::uint64_t next_batch = batch_remaining - chunk * executors;  // chunk > 1, so this is not below 0
    if (remaining > next_batch) return chunk;
    batch_remaining = next_batch;
  }
}

}  // namespace detail

/// Tasks of the next chunk.
/// @param next the first unclaimed task, @param lot_end one past the lot's last; both count within the call.
/// @returns at least 1 while `next < lot_end`, never past the lot; 0 at its end.
constexpr std::uint64_t next_chunk(const ChunkPolicy& policy, std::uint64_t next, std::uint64_t lot_end) {
  if (next >= lot_end) return 0;
  const std::uint64_t executors = std::max<std::uint64_t>(policy.executors, 1);
  const std::uint64_t least = std::max<std::uint64_t>(policy.chunksize, 1);
  const std::uint64_t total = std::max(policy.total, lot_end);  // input still being drawn may be known short
  const std::uint64_t remaining = total - next;
  std::uint64_t chunk = least;
  switch (policy.schedule) {
    case Schedule::dynamic:
      break;
    case Schedule::static_:
      if (policy.chunksize == 0) chunk = detail::ceil_div(total, executors);
      break;
    case Schedule::guided:
      chunk = std::max(least, detail::ceil_div(remaining, executors));
      break;
    case Schedule::factoring:
      chunk = detail::factoring_chunk(total, remaining, executors, least);
      break;
    case Schedule::automatic:
      if (policy.chunksize == 0) {
        chunk = std::min(std::max<std::uint64_t>(policy.measured, 1), detail::ceil_div(remaining, 2 * executors));
      }
      break;
  }
  return std::min(chunk, lot_end - next);
}

/// An executor's own measurement for `ChunkPolicy::measured`.
class ChunkTimer {
 public:
  /// A first chunk of one task says little (cold caches, one odd task), so the size is approached in steps.
  static constexpr std::uint64_t most_growth = 8;

  /// The last chunk was of `count` tasks and took `elapsed`.
  constexpr void record(std::uint64_t count, Nanoseconds elapsed) {
    if (count == 0) return;
    const double sample = static_cast<double>(std::max<Nanoseconds>(elapsed, 1)) / static_cast<double>(count);
    per_task_ = tasks_ == 0 ? sample : per_task_ + (sample - per_task_) * newest_weight;
    const double wanted = static_cast<double>(target_chunk_time) / per_task_;
    const std::uint64_t limit = std::min(std::max<std::uint64_t>(tasks_, 1), most_tasks / most_growth) * most_growth;
    tasks_ =
        wanted >= static_cast<double>(limit) ? limit : std::max<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1);
  }

  /// Tasks that fill target_chunk_time as far as is known; 0 before the first measurement.
  [[nodiscard]] constexpr std::uint64_t tasks() const { return tasks_; }

 private:
  static constexpr double newest_weight = 0.25;
  static constexpr std::uint64_t most_tasks = std::uint64_t{1} << 40;  ///< keeps the doubles exact

  double per_task_ = 0;
  std::uint64_t tasks_ = 0;
};

}  // namespace rankpool::scheduler
