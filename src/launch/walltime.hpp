// When the batch system will end the job that this process is part of.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launch/launcher.hpp"

namespace rankpool::launch {

using WallTime = std::chrono::system_clock::time_point;

/// RANKPOOL_END_TIME is none beyond this: in seconds since 1970, the year 2200.
inline constexpr std::uint64_t latest_end_time = 7'258'118'400;

/// Whether somebody is going to end it: Slurm, or another batch system by RANKPOOL_END_TIME.
bool is_in_job(const Lookup& lookup);

/// Runs a program and gives what it prints; empty where there is none, or where it fails.
using Ask = std::function<std::string(const std::vector<std::string>& command)>;

/// What tells the end of a job, read at once: who asks later does so while the program may change its environment.
struct EndQuestion {
  std::optional<WallTime> known = {};  ///< RANKPOOL_END_TIME, or SLURM_JOB_END_TIME
  std::string job = {};                ///< of Slurm; empty: none

  static EndQuestion of(const Lookup& lookup);
};

/// @returns what is known, else what squeue says; nothing where nobody knows, or where there is no limit.
std::optional<WallTime> end_of_job(const EndQuestion& question, const Ask& ask);

/// "2026-11-22T23:11:02", local time. @returns nothing for anything else: "NOLIMIT", say.
std::optional<WallTime> parse_local_time(std::string_view text);

/// "2026-11-22 23:11:02", local time.
std::string local_time_text(WallTime time);

/// "NAME=value", as of this process, without those by which users change what squeue prints.
std::vector<std::string> environment_for_slurm();

/// What the program prints in `limit`, as Ask; it is ended then, or as soon as the file `stop` can be read.
std::string output_of(const std::vector<std::string>& command, const std::vector<std::string>& environment,
                      std::chrono::milliseconds limit, int stop);

}  // namespace rankpool::launch
