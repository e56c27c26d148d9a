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

/// Whether somebody is going to end it: Slurm, or another batch system by RANKPOOL_END_TIME.
bool is_in_job(const Lookup& lookup);

/// Runs a program and gives what it prints; empty where there is none, or where it fails.
using Ask = std::function<std::string(const std::vector<std::string>& command)>;

/// RANKPOOL_END_TIME or SLURM_JOB_END_TIME, in seconds since 1970; else what squeue says.
/// @returns nothing where nobody knows, or where there is no limit.
std::optional<WallTime> end_of_job(const Lookup& lookup, const Ask& ask);

/// "2026-11-22T23:11:02", local time. @returns nothing for anything else: "NOLIMIT", say.
std::optional<WallTime> parse_local_time(std::string_view text);

/// "2026-11-22 23:11:02", local time.
std::string local_time_text(WallTime time);

/// What the program prints in `limit`, as Ask; it is ended then, or as soon as the file `stop` can be read.
std::string output_of(const std::vector<std::string>& command, std::chrono::milliseconds limit, int stop);

}  // namespace rankpool::launch
