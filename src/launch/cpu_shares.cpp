#include "launch/cpu_shares.hpp"

#include <cstdint>
#include <map>
#include <utility>

namespace rankpool::launch {
namespace {

using support::CpuLimit;
using transport::RankFacts;
using Facts = std::span<const RankFacts>;

constexpr double rounding = 1e-6;  // three thirds are one

const RankFacts& facts_of(Facts ranks, int rank) { return ranks[static_cast<std::size_t>(rank)]; }

std::vector<double> shares_of_masks(Facts ranks, std::span<const int> members) {
  std::map<std::size_t, int> sharers;
  for (const int rank : members) {
    support::for_each_cpu(facts_of(ranks, rank).cpus, [&](std::size_t cpu) { ++sharers[cpu]; });
  }
  std::vector<double> shares;
  for (const int rank : members) {
    double share = 0;
    support::for_each_cpu(facts_of(ranks, rank).cpus, [&](std::size_t cpu) { share += 1.0 / sharers[cpu]; });
    shares.push_back(share);
  }
  return shares;
}

}  // namespace

CpuShares share_cpus(Facts ranks, std::span<const int> members) {
  CpuShares result{.shares = shares_of_masks(ranks, members), .limited_by = std::nullopt};
  using Group = std::pair<CpuLimit::Source, std::uint64_t>;
  std::map<Group, double> wanted;
  for (std::size_t i = 0; i < members.size(); ++i) {
    for (const CpuLimit& limit : facts_of(ranks, members[i]).limits) {
      wanted[{limit.source, limit.group}] += result.shares[i];
    }
  }
  double least = 1;
  for (std::size_t i = 0; i < members.size(); ++i) {
    double granted = 1;
    for (const CpuLimit& limit : facts_of(ranks, members[i]).limits) {
      const double part = limit.cpus / wanted[{limit.source, limit.group}];
      if (part < least - rounding) {
        least = part;
        result.limited_by = limit.source;
      }
      granted = std::min(granted, part);
    }
    result.shares[i] *= granted;
  }
  return result;
}

std::uint64_t whole_cpus(double share) { return static_cast<std::uint64_t>(share + rounding); }

support::CpuMask cpus_of(Facts ranks, std::span<const int> members) {
  support::CpuMask all;
  for (const int rank : members) support::add_cpus(all, facts_of(ranks, rank).cpus);
  return all;
}

}  // namespace rankpool::launch
