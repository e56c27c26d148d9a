// Which ranks form a node, who leads it, and how many executors each rank contributes. Pure: every rank computes the
// same layout from the same facts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "launch/pinning.hpp"
#include "support/cpu_limits.hpp"
#include "support/cpu_mask.hpp"
#include "transport/rank_facts.hpp"

namespace rankpool::launch {

struct LayoutOptions {
  bool launched = true;                ///< by mpirun or srun
  std::uint64_t processes = 0;         ///< executors in all; 0: one per CPU
  int root = 0;                        ///< the master
  std::uint64_t test_nodes = 0;        ///< pretend that each machine is this many nodes; 0: one
  std::uint64_t threads_per_task = 0;  ///< 0: one
};

struct RankPlan {
  int node = 0;                  ///< index in Layout::nodes
  std::uint32_t executors = 0;   ///< the rank contributes
  std::uint32_t first_slot = 0;  ///< on the node; the others follow
};

struct NodePlan {
  int leader = 0;          ///< the root on its node, else the lowest rank
  std::vector<int> ranks;  ///< ascending
  std::uint32_t executors = 0;
  support::CpuMask cpus;       ///< of all its ranks: what its executors may run on
  std::uint64_t capacity = 0;  ///< CPUs' time that its ranks have, where limited_by says so less than that
  std::optional<support::CpuLimit::Source> limited_by;
  std::optional<std::size_t> bound;  ///< its executors are bound to CPUs: index in Layout::bound
};

/// A machine whose executors have CPUs of their own.
struct BoundMachine {
  Crew crew;
  support::CpuMask cpus;  ///< see cpus_to_fill()
};

struct Layout {
  std::vector<RankPlan> ranks;
  std::vector<NodePlan> nodes;  ///< the root's first, then by lowest rank
  std::vector<BoundMachine> bound;
  std::uint64_t executors = 0;
  std::vector<std::string> warnings;
};

/// @throws std::invalid_argument for more executors than can be meant.
Layout plan_layout(std::span<const transport::RankFacts> ranks, const LayoutOptions& options);

}  // namespace rankpool::launch
