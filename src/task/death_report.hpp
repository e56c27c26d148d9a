/// @file
/// The death of an executor, in words and as the error of the task that ran.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include <rankpool/detail/code_address.hpp>

namespace rankpool::task {

/// What is known of an executor that ended.
struct DeathReport {
  int rank = -1;
  std::string host;
  int slot = -1;
  int pid = 0;
  int wait_status = 0;                          ///< as waitpid() gives it
  std::chrono::nanoseconds time_limit{0};       ///< of the task, which ran longer and was killed for it; 0: not so
  bool is_ours = false;                         ///< the pool killed it, for a task in it had scribbled on shared memory
  std::uint64_t memory_limit = 0;               ///< bytes the executor might allocate, as the master knows; 0: no limit
  std::string stderr_tail = {};                 ///< the last lines that the task wrote
  std::vector<detail::CodeAddress> stack = {};  ///< of its crash, the innermost frame first; empty: not known
};

/// "SIGSEGV (segmentation fault)"; "signal 99" for a number without a name. The same in every locale.
std::string signal_name(int signal);

/// How a process ended: "killed by SIGSEGV (segmentation fault)", "ended by exit(3)".
std::string death_text(int wait_status);

/// What is to be said of an executor that had a memory limit of `bytes`, in the form "; the executor had a memory_limit
/// of 67108864 bytes". Empty where there was none.
std::string memory_limit_text(std::uint64_t bytes);

/// The WorkerLost of task `task`, whose executor died in its attempt `attempt` (from 1) of `attempts_allowed`: what
/// happened, where, and what to do about it.
std::exception_ptr worker_lost(const DeathReport& report, std::uint64_t task, std::uint32_t attempt,
                               std::uint32_t attempts_allowed);

/// The WorkerLost of task `task`, which may have been running when its node was lost for the given reason.
/// Nobody can tell whether it had started: what a node is given in advance is charged with what ran.
/// @param rank the node's leader. @param host the node.
std::exception_ptr node_lost(const std::string& reason, int rank, const std::string& host, std::uint64_t task,
                             std::uint32_t attempt, std::uint32_t attempts_allowed);

/// The TaskTimeout of task `task`, whose executor was killed because it ran longer than `report.time_limit`.
std::exception_ptr task_timed_out(const DeathReport& report, std::uint64_t task, std::uint32_t attempt);

}  // namespace rankpool::task
