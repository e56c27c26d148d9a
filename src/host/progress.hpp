// How far an executor has come.
#pragma once

#include <cstdint>

namespace rankpool::host {

/// How far an executor has come. Changes whenever a task ends, and never comes back in the executor's life.
struct Progress {
  static constexpr std::uint64_t no_run = ~std::uint64_t{0};

  std::uint64_t tail = 0;      ///< of its outbox: grows with each run of results and each failure
  std::uint64_t finished = 0;  ///< tasks of the open run that have ended; no_run when it has none open
  friend bool operator==(const Progress&, const Progress&) = default;
};

}  // namespace rankpool::host
