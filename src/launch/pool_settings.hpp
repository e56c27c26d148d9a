// What all ranks need to know of a pool: the root's options and environment as one, sent to all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <rankpool/options.hpp>

#include "host/lot.hpp"
#include "launch/environment.hpp"

namespace rankpool::launch {

struct PoolSettings {
  std::string error;  ///< why the root can't have a pool; empty if it can
  std::string name = support::default_pool_name;
  std::uint64_t processes = 0;
  std::uint64_t threads_per_task = 0;
  std::uint64_t max_tasks_per_child = 0;
  std::uint64_t max_attempts = 0;
  std::uint64_t memory_limit = 0;  ///< bytes an executor may allocate; 0: no limit
  std::uint64_t chunksize = 0;
  std::uint64_t seed = 0;
  std::uint64_t pool = 0;  ///< a number of its own, which names it to shared objects
  std::uint64_t test_nodes = 0;
  std::uint64_t channel_bytes = 0;  ///< address space of a node's channel; 0: by the machine's memory
  Schedule schedule = Schedule::automatic;
  Seconds grace{};
  std::optional<Seconds> task_timeout;
  std::optional<Seconds> timeout;
  bool inline_tasks = false;
  LogLevel log = LogLevel::warning;
  std::optional<host::CallImage> initializer;
  std::vector<std::string> warnings;
};

/// Options of the program beat the environment. What is wrong with either ends up in `error`.
PoolSettings merge(const PoolOptions& options, const char* const* environment) noexcept;

/// @returns a number that no other pool of this run, or of another, is likely to have; no address has it.
std::uint64_t new_pool_number();

/// The part that other ranks need, as bytes.
std::vector<std::byte> encode(const PoolSettings& settings);
/// @throws rankpool::detail::DecodeError when these are no settings of this version.
PoolSettings decode_settings(const std::vector<std::byte>& bytes);

}  // namespace rankpool::launch
