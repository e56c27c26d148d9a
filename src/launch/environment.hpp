// The RANKPOOL_… environment variables, read on the master and sent to all ranks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rankpool/options.hpp>

#include "support/notice.hpp"

namespace rankpool::launch {

using support::LogLevel;

/// What is not set, or set to nothing, is empty. Counts of 0 mean automatic, a memory limit of 0 none.
struct Settings {
  std::optional<std::uint64_t> channel_mb;           ///< RANKPOOL_CHANNEL_MB
  std::optional<std::uint64_t> chunksize;            ///< RANKPOOL_CHUNKSIZE
  std::optional<Seconds> grace;                      ///< RANKPOOL_GRACE
  std::optional<bool> inline_tasks;                  ///< RANKPOOL_INLINE
  std::optional<LogLevel> log;                       ///< RANKPOOL_LOG
  std::optional<std::uint64_t> max_attempts;         ///< RANKPOOL_MAX_ATTEMPTS
  std::optional<std::uint64_t> max_tasks_per_child;  ///< RANKPOOL_MAX_TASKS_PER_CHILD
  std::optional<std::uint64_t> memory_limit;         ///< RANKPOOL_MEMORY_LIMIT, in bytes
  std::optional<std::string> name;                   ///< RANKPOOL_NAME
  std::optional<std::uint64_t> processes;            ///< RANKPOOL_PROCESSES
  std::optional<Schedule> schedule;                  ///< RANKPOOL_SCHEDULE
  std::optional<std::uint64_t> seed;                 ///< RANKPOOL_SEED
  std::optional<Seconds> task_timeout;               ///< RANKPOOL_TASK_TIMEOUT, above 0
  std::optional<std::uint64_t> test_nodes;           ///< RANKPOOL_TEST_NODES
  std::optional<std::uint64_t> threads_per_task;     ///< RANKPOOL_THREADS_PER_TASK
  std::optional<Seconds> timeout;                    ///< RANKPOOL_TIMEOUT
  std::vector<std::string> warnings;                 ///< about RANKPOOL_ variables that do not exist
};

/// @param environment "NAME=value" strings, ended by a null pointer, like ::environ.
/// @throws std::invalid_argument naming variable, value and what is accepted.
Settings read_settings(const char* const* environment);

}  // namespace rankpool::launch
