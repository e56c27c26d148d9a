/// @file
/// How many tasks a host is handed at a time.
#pragma once

#include <cstdint>

#include "scheduler/host.hpp"
#include "scheduler/job.hpp"

namespace rankpool::scheduler {

/// The pool as a lot's size depends on it.
struct PoolSize {
  std::uint32_t hosts = 0;  ///< with executors
  std::uint64_t executors = 0;
};

struct LotSize {
  std::uint64_t tasks = 0;
  std::uint64_t chunk = 1;  ///< estimate of what the executors will claim at a time
};

/// Sizes a lot from the front of the job's pending tasks, which must not be empty.
LotSize size_lot(const Job& job, const Host& host, PoolSize pool);

}  // namespace rankpool::scheduler
