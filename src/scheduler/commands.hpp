/// @file
/// The scheduler's vocabulary: what it is told and what it answers.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include <rankpool/options.hpp>

#include "scheduler/chunking.hpp"

namespace rankpool::scheduler {

using HostId = std::uint32_t;
using JobId = std::uint64_t;
using LotId = std::uint64_t;  ///< never reused, also not for a host that comes back

/// Consecutive tasks of a job.
struct TaskRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;

  [[nodiscard]] constexpr std::uint64_t end() const { return first + count; }
  friend constexpr bool operator==(const TaskRange&, const TaskRange&) = default;
};

/// What the tasks that a lost host had not reported may have done.
enum class Unreported {
  may_have_run,  ///< each is charged an attempt
  never_started
};

struct JobOptions {
  Schedule schedule = Schedule::automatic;
  std::uint64_t chunksize = 0;                        ///< 0 automatic
  std::uint32_t max_attempts = 3;                     ///< 1: no task ever runs twice
  std::optional<std::uint64_t> total = std::nullopt;  ///< number of tasks, where the input tells
  bool speculative = false;                           ///< what is late at the job's end runs elsewhere, too
};

/// Send these tasks to the host.
struct RunLot {
  HostId host = 0;
  LotId lot = 0;
  JobId job = 0;
  TaskRange tasks;
  std::uint32_t attempt = 1;  ///< from 1
  bool is_copy = false;       ///< another lot has the same tasks, and is late with them

  friend bool operator==(const RunLot&, const RunLot&) = default;
};

/// Ask the host for the tasks of the lot that have not started. It answers once, by `tasks_returned`, with a count of 0
/// when there are none.
struct RetractLot {
  HostId host = 0;
  LotId lot = 0;

  friend bool operator==(const RetractLot&, const RetractLot&) = default;
};

/// The task lost its executor in its last attempt.
struct GiveUp {
  JobId job = 0;
  std::uint64_t task = 0;
  std::uint32_t attempts = 0;
  LotId lot = 0;    ///< the lot it died in
  HostId host = 0;  ///< and that lot's host

  friend bool operator==(const GiveUp&, const GiveUp&) = default;
};

/// Every task of the job is settled and nothing of it is in flight. The scheduler has forgotten the job.
struct JobDone {
  JobId job = 0;

  friend bool operator==(const JobDone&, const JobDone&) = default;
};

using Command = std::variant<RunLot, RetractLot, GiveUp, JobDone>;

}  // namespace rankpool::scheduler
