// How the CPUs of a machine are shared by the ranks there. Pure.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "support/cpu_limits.hpp"
#include "support/cpu_mask.hpp"
#include "transport/rank_facts.hpp"

namespace rankpool::launch {

struct CpuShares {
  std::vector<double> shares;                           ///< CPUs of each rank, in the order asked
  std::optional<support::CpuLimit::Source> limited_by;  ///< what leaves them less than the CPU masks
};

/// Each rank's share of the CPUs: one that n ranks may use is 1/n for each, and where a quota or a job's allotment
/// is less than that, it is divided in the same proportion.
/// @param members ranks of one machine, who have it to themselves.
CpuShares share_cpus(std::span<const transport::RankFacts> ranks, std::span<const int> members);

/// Whole CPUs in a share or a sum of shares.
std::uint64_t whole_cpus(double share);

support::CpuMask cpus_of(std::span<const transport::RankFacts> ranks, std::span<const int> members);

}  // namespace rankpool::launch
