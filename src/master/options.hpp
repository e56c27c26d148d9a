// What the engine needs to know of the pool's options, once options and environment are one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <rankpool/options.hpp>

#include "support/notice.hpp"

namespace rankpool::master {

/// The one thread that may use the pool, where not every thread may.
struct OnlyThread {
  std::thread::id id;
  std::string refusal;  ///< what others are told
};

struct EngineOptions {
  std::string name = support::default_pool_name;
  std::uint64_t pool = 0;              ///< names it to shared objects
  std::uint64_t chunksize = 0;         ///< for calls that don't say; 0 automatic
  std::uint64_t memory_limit = 0;      ///< of an executor, in bytes; 0: none
  std::ptrdiff_t foreign_threads = 0;  ///< of the process, that will never use the pool: MPI's
  std::uint32_t max_attempts = 3;
  Schedule schedule = Schedule::automatic;
  std::optional<Seconds> task_timeout;  ///< of calls that don't say
  std::optional<Seconds> timeout;       ///< of calls that don't say
  support::LogLevel log = support::LogLevel::warning;
  std::uint64_t seed = 0;          ///< of the tasks' random numbers
  std::vector<std::string> hosts;  ///< host name of each rank
  bool outlives_ranks = false;     ///< the launcher lets the job go on after a rank's death
  bool background = true;          ///< a thread of ours may drive when nobody waits
  std::optional<OnlyThread> only_thread;
};

/// A node other than the master's.
struct RemoteNode {
  int leader = 0;  ///< rank
  std::uint32_t executors = 0;
  int pid = 0;  ///< of the leader, if this process can watch it: on the same machine; else 0
};

}  // namespace rankpool::master
