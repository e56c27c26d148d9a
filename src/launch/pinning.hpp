// Which executors are bound to CPUs of their own. Pure.
//
// The kernel places processes well as long as it may choose which CPUs stay idle. So executors are bound only where
// there is nothing to choose, as they fill all CPUs, or a thread of each core, but for what the rank that leads them
// needs; and only where nobody else is to use these CPUs: two pools that are started beside each other must not meet on
// the first few.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "support/cpu_mask.hpp"
#include "support/cpu_topology.hpp"
#include "transport/rank_facts.hpp"

namespace rankpool::launch {

/// A machine's ranks, and what they are to have there.
struct Crew {
  std::vector<int> ranks;
  std::vector<std::uint32_t> executors;  ///< of each of the ranks
  std::uint64_t threads = 1;             ///< CPUs of an executor
  bool is_asked_for = false;             ///< so many executors; where CPUs are left, another pool may be meant for them
};

/// The CPUs that the executors are bound to, all together; empty where they are not.
/// @param launched by mpirun or srun.
support::CpuMask cpus_to_fill(std::span<const transport::RankFacts> ranks, const Crew& crew, bool launched);

/// Each executor's CPUs, by rank of the crew, then by executor: `threads` neighbours that its rank may use, as far as
/// there are such.
/// @param places those of cpus_to_fill().
std::vector<std::vector<support::CpuMask>> deal_cpus(std::span<const transport::RankFacts> ranks, const Crew& crew,
                                                     const std::vector<support::CpuPlace>& places);

}  // namespace rankpool::launch
