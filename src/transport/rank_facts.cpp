#include "transport/rank_facts.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>

#include <sched.h>
#include <unistd.h>

#include "support/cpu_topology.hpp"
#include "support/machine.hpp"

namespace rankpool::transport {
namespace {

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "unknown";
  return name;
}

std::vector<std::uint64_t> allowed_cpus() {
  constexpr std::size_t most_words = 1 << 16;
  for (std::size_t words = 16; words <= most_words; words *= 2) {
    std::vector<std::uint64_t> mask(words);
    auto* set = reinterpret_cast<cpu_set_t*>(mask.data());  // NOLINT: the kernel's own layout on 64-bit machines
    if (::sched_getaffinity(0, words * sizeof mask[0], set) == 0) {
      while (!mask.empty() && mask.back() == 0) mask.pop_back();
      return mask;
    }
    if (errno != EINVAL) break;  // EINVAL: the kernel's mask is longer
  }
  throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
}

// The first process's mask is the whole machine's outside a container and the container's inside one.
std::uint32_t cpus_of_first_process() {
  std::ifstream status("/proc/1/status");
  const std::string key = "Cpus_allowed:";
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    std::uint32_t count = 0;
    for (const char digit : line.substr(key.size())) {
      unsigned value = 0;
      if (std::from_chars(&digit, &digit + 1, value, 16).ec == std::errc{}) {
        count += static_cast<std::uint32_t>(std::popcount(value));
      }
    }
    return count;
  }
  return 0;
}

std::uint32_t cpus_offered() {
  const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
  const auto machine = static_cast<std::uint32_t>(std::max(1L, online));
  const std::uint32_t container = cpus_of_first_process();
  return container == 0 ? machine : std::min(machine, container);
}

std::optional<std::string> look_up(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  return text;
}

std::vector<support::CpuLimit> cpu_limits(const support::ProcessIdentity& process) {
  std::vector<support::CpuLimit> limits = support::cgroup_limits();
  std::ranges::copy(support::slurm_limits(look_up, static_cast<std::uint64_t>(process.pid)),
                    std::back_inserter(limits));
  return limits;
}

// To read it takes milliseconds where there are many CPUs, and is of use only for executors that may be bound to some:
// in a job, or where the rank is bound itself.
support::CpuMask cores_if_needed(const RankFacts& facts) {
  const bool in_job = facts.cpus_of_job != 0;
  const bool is_bound = support::count_cpus(facts.cpus) < facts.cpus_online;
  return in_job || is_bound ? support::one_of_each_core(facts.cpus) : support::CpuMask();
}

std::uint32_t number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return 0;
  std::uint32_t value = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  return error == std::errc{} && stop == end ? value : 0;
}

}  // namespace

RankFacts facts_of_this_process() {
  RankFacts facts;
  facts.host = host_name();
  facts.machine = support::machine_id();
  facts.process = support::ProcessIdentity::of_this_process();
  facts.cpus = allowed_cpus();
  facts.cpus_online = cpus_offered();
  facts.cpus_of_job = number_in("SLURM_CPUS_ON_NODE");
  facts.cores = cores_if_needed(facts);
  facts.limits = cpu_limits(facts.process);
  return facts;
}

}  // namespace rankpool::transport
