// Ranks with their CPUs, as the tests of layouts need them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "support/cpu_limits.hpp"
#include "support/cpu_mask.hpp"
#include "transport/rank_facts.hpp"

namespace rankpool::test {

using Ranks = std::vector<transport::RankFacts>;

inline support::CpuMask cpus(std::size_t first, std::size_t count) {
  support::CpuMask mask;
  for (std::size_t cpu = first; cpu < first + count; ++cpu) support::add_cpu(mask, cpu);
  return mask;
}

/// A rank on machine `machine` of `online` CPUs that may use `count` of them from `first` on.
inline transport::RankFacts rank_on(int machine, std::size_t first, std::size_t count, std::uint32_t online) {
  transport::RankFacts facts;
  facts.host = "n" + std::to_string(machine);
  facts.machine = "boot" + std::to_string(machine);
  facts.node_group = machine;
  facts.cpus = cpus(first, count);
  facts.cores = facts.cpus;
  facts.cpus_online = online;
  return facts;
}

inline support::CpuLimit quota(double cpus, std::uint64_t group = 1) {
  return {.source = support::CpuLimit::Source::quota, .group = group, .cpus = cpus};
}

inline support::CpuLimit slurm(double cpus, std::uint64_t group = 7) {
  return {.source = support::CpuLimit::Source::slurm, .group = group, .cpus = cpus};
}

inline transport::RankFacts with(transport::RankFacts facts, const support::CpuLimit& limit) {
  facts.limits.push_back(limit);
  return facts;
}

}  // namespace rankpool::test
