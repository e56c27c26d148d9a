// Sleeping on a word of memory that processes share.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace rankpool::support {

/// Sleeps while `word` holds `expected`, until woken, a signal arrives or `timeout` is over (max(): for ever).
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max());

/// Wakes all that sleep on `word`. Async-signal-safe.
void futex_wake(std::atomic<std::uint32_t>& word) noexcept;

/// A word that counts rings: read it, look for work, then sleep on what was read, and no ring is lost.
struct Bell {
  std::atomic<std::uint32_t> rings{0};

  void ring() noexcept {
    rings.fetch_add(1, std::memory_order_seq_cst);
    futex_wake(rings);
  }
};

/// Tells the CPU that this is a spin loop.
inline void spin_pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace rankpool::support
