// Who uses shared objects: an executor, or a thread of the master. Each has a place in memory that all of them map.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "support/futex.hpp"

namespace rankpool::shared {

/// From 1; 0 is nobody.
using ParticipantId = std::uint32_t;
inline constexpr ParticipantId nobody = 0;

/// A place among an object's waiters.
struct WaitingPlace {
  std::uint32_t group = 0;
  std::uint64_t ticket = 0;
};

struct alignas(64) Participant {
  /// Offset of the object it waits for, plus the group of its waiters; 0: it waits for none.
  std::atomic<std::uint64_t> waits_for{0};
  std::atomic<std::uint64_t> ticket{0};
  /// 1 + index of the task that waits; 0: none, a thread of the master.
  std::atomic<std::uint64_t> task{0};
  /// That the one who waits belongs to, where it is an executor.
  std::atomic<std::int32_t> rank{-1};
  /// 1: it waits as long as it takes.
  std::atomic<std::uint32_t> for_ever{0};
  std::atomic<std::uint32_t> rings{0};
  std::atomic<std::uint32_t> asleep{0};
  /// The place that it waits for in vain, as `waits_for` and `ticket` have it: it is to give up.
  std::atomic<std::uint64_t> vain_ticket{0};
  std::atomic<std::uint64_t> vain{0};

  void ring() noexcept {
    rings.fetch_add(1, std::memory_order_seq_cst);
    if (asleep.load(std::memory_order_seq_cst) != 0) support::futex_wake(rings);
  }

  /// Sleeps until it is rung for the first time since `rings` was read, or time is over.
  void sleep(std::uint32_t seen, std::chrono::nanoseconds time) {
    asleep.store(1, std::memory_order_seq_cst);
    support::futex_wait(rings, seen, time);
    asleep.store(0, std::memory_order_relaxed);
  }
};

}  // namespace rankpool::shared
