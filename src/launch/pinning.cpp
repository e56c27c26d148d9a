#include "launch/pinning.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <utility>

#include "launch/cpu_shares.hpp"
#include "support/cpu_limits.hpp"

namespace rankpool::launch {
namespace {

using support::CpuLimit;
using support::CpuMask;
using support::CpuPlace;
using transport::RankFacts;
using Facts = std::span<const RankFacts>;
using Places = std::vector<CpuPlace>;

const RankFacts& facts_of(Facts ranks, int rank) { return ranks[static_cast<std::size_t>(rank)]; }

bool is_in_job(const RankFacts& facts) {
  return std::ranges::any_of(facts.limits,
                             [](const CpuLimit& limit) { return limit.source == CpuLimit::Source::slurm; });
}

// By mpirun, say: each has CPUs of its own.
bool are_bound(Facts ranks, const std::vector<int>& members) {
  std::uint32_t sum = 0;
  for (const int rank : members) {
    const std::uint32_t count = support::count_cpus(facts_of(ranks, rank).cpus);
    if (count >= facts_of(ranks, rank).cpus_online) return false;
    sum += count;
  }
  return sum == support::count_cpus(cpus_of(ranks, members));
}

// CPUs that were given to these ranks, all of them and to nobody else.
bool are_theirs(Facts ranks, const std::vector<int>& members, bool launched) {
  if (share_cpus(ranks, members).limited_by) return false;
  const bool in_job = std::ranges::all_of(members, [&](int rank) { return is_in_job(facts_of(ranks, rank)); });
  return in_job || (launched && are_bound(ranks, members));
}

// An executor with one CPU that wakes while its leader runs there has to wait, where it could have gone to another:
// with each CPU taken, calls of single tasks took up to 4 times as long. Those with several have another.
bool leave_the_leader_one(std::uint64_t cpus, std::uint64_t used, std::uint64_t threads) {
  return threads > 1 || cpus > used;
}

// Nor is there room for another.
bool fill(std::uint64_t cpus, std::uint64_t used, std::uint64_t threads) {
  return used <= cpus && cpus - used <= threads;
}

/// What of `free` the executor of that rank may have at best: CPUs that share a cache, else any that its rank may use.
Places take(Places& free, std::size_t count, const RankFacts& rank) {
  const auto usable = [&](const CpuPlace& place) { return support::has_cpu(rank.cpus, place.cpu); };
  Places wanted;
  std::ranges::copy_if(free, std::back_inserter(wanted), usable);
  for (auto first = wanted.begin(); first != wanted.end();) {
    const auto last = std::find_if(first, wanted.end(), [&](const CpuPlace& p) { return p.cache != first->cache; });
    if (static_cast<std::size_t>(last - first) >= count) {
      wanted = Places(first, first + static_cast<std::ptrdiff_t>(count));
      break;
    }
    first = last;
  }
  if (wanted.size() < count) std::ranges::copy_if(free, std::back_inserter(wanted), std::not_fn(usable));
  wanted.resize(std::min(count, wanted.size()));
  std::erase_if(free, [&](const CpuPlace& place) { return std::ranges::find(wanted, place) != wanted.end(); });
  return wanted;
}

CpuMask mask_of(const Places& places) {
  CpuMask mask;
  for (const CpuPlace& place : places) support::add_cpu(mask, place.cpu);
  return mask;
}

}  // namespace

CpuMask cpus_to_fill(Facts ranks, const Crew& crew, bool launched) {
  if (!are_theirs(ranks, crew.ranks, launched)) return {};
  const std::uint64_t used =
      crew.threads * std::accumulate(crew.executors.begin(), crew.executors.end(), std::uint64_t{0});
  if (used == 0) return {};
  CpuMask cpus = cpus_of(ranks, crew.ranks);
  if (!leave_the_leader_one(support::count_cpus(cpus), used, crew.threads)) return {};
  const std::uint64_t most_left = 1;  // the leader's
  if (crew.is_asked_for && support::count_cpus(cpus) > used + most_left) return {};
  CpuMask cores;
  for (const int rank : crew.ranks) support::add_cpus(cores, facts_of(ranks, rank).cores);
  for (CpuMask* mask : {&cores, &cpus}) {
    if (fill(support::count_cpus(*mask), used, crew.threads)) return std::move(*mask);
  }
  return {};
}

std::vector<std::vector<CpuMask>> deal_cpus(Facts ranks, const Crew& crew, const std::vector<CpuPlace>& places) {
  Places free = places;
  std::vector<std::vector<CpuMask>> dealt;
  for (std::size_t i = 0; i < crew.ranks.size(); ++i) {
    const RankFacts& rank = facts_of(ranks, crew.ranks[i]);
    std::vector<CpuMask>& mine = dealt.emplace_back();
    for (std::uint32_t executor = 0; executor < crew.executors[i]; ++executor) {
      mine.push_back(mask_of(take(free, crew.threads, rank)));
    }
  }
  return dealt;
}

}  // namespace rankpool::launch
