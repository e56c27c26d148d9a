// What each rank tells all others once, at start-up.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/cpu_limits.hpp"
#include "support/cpu_mask.hpp"
#include "support/process_watch.hpp"

namespace rankpool::transport {

struct RankFacts {
  std::string host;     ///< host name, for messages
  std::string machine;  ///< ranks that differ here cannot share memory
  int node_group = 0;   ///< lowest rank that MPI says shares memory with this one; gather_facts() sets it
  support::ProcessIdentity process;
  support::ProcessIdentity zygote;        ///< the caller sets it
  std::uint64_t executable_id = 0;        ///< the caller sets it
  support::CpuMask cpus;                  ///< CPUs the rank may run on
  support::CpuMask cores;                 ///< one of those for each core; empty where nobody needs to know
  std::uint32_t cpus_online = 0;          ///< CPUs the machine (or the container) offers
  std::uint32_t cpus_of_job = 0;          ///< SLURM_CPUS_ON_NODE, or 0
  std::vector<support::CpuLimit> limits;  ///< of the CPU time that there is for the rank, with others
};

/// All of this process's facts but those that others know: node_group, zygote and executable_id.
RankFacts facts_of_this_process();

}  // namespace rankpool::transport
