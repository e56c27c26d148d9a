#include "support/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace rankpool::support {

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::chrono::nanoseconds timeout) {
  timespec relative{};
  timespec* limit = nullptr;
  if (timeout != std::chrono::nanoseconds::max()) {
    if (timeout <= std::chrono::nanoseconds::zero()) return;
    constexpr std::int64_t nanoseconds_per_second = 1'000'000'000;
    relative.tv_sec = timeout.count() / nanoseconds_per_second;
    relative.tv_nsec = timeout.count() % nanoseconds_per_second;
    limit = &relative;
  }
  // Not FUTEX_PRIVATE: the word lies in memory of several processes.
  syscall(SYS_futex, &word, FUTEX_WAIT, expected, limit, nullptr, 0);
}

void futex_wake(std::atomic<std::uint32_t>& word) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace rankpool::support
