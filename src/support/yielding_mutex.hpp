// A mutex whose holder can let others in between two steps of its work.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

#include "support/futex.hpp"

namespace rankpool::support {

/// Who releases a std::mutex and takes it again does so long before a thread that sleeps on it wakes up: one that works
/// under it in small steps keeps it from all others. This one's holder sees that they wait.
class YieldingMutex {
 public:
  void lock() {
    if (mutex_.try_lock()) return;
    waiting_.fetch_add(1);
    mutex_.lock();
    entries_.fetch_add(1);
    waiting_.fetch_sub(1);
    if (holder_is_away_.load()) futex_wake(entries_);
  }

  bool try_lock() { return mutex_.try_lock(); }

  void unlock() { mutex_.unlock(); }

  /// For the holder: if others wait, lets one of them in, and takes the mutex after it.
  /// @returns whether it was released meanwhile.
  bool let_others_in() {
    if (waiting_.load(std::memory_order_relaxed) == 0) return false;
    const std::uint32_t entries = entries_.load();
    holder_is_away_.store(true);
    mutex_.unlock();
    // Where there is no CPU for it, the holder's work is not to wait for that.
    futex_wait(entries_, entries, patience);
    holder_is_away_.store(false);
    lock();
    return true;
  }

 private:
  static constexpr auto patience = std::chrono::microseconds(200);

  std::mutex mutex_;
  std::atomic<std::uint32_t> waiting_ = 0;
  std::atomic<std::uint32_t> entries_ = 0;  ///< of threads that had to wait
  std::atomic<bool> holder_is_away_ = false;
};

}  // namespace rankpool::support
