#include "support/cpu_limits.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>

namespace rankpool::support {
namespace {

using Lookup = std::function<std::optional<std::string>(const char* name)>;

/// @returns 0 for what is no number.
std::uint32_t number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && stop == text.data() + text.size() ? value : 0;
}

std::uint32_t number(const Lookup& lookup, const char* name) { return number(lookup(name).value_or("")); }

// "72(x2),36": nodes of the same number of CPUs that follow each other are one entry.
std::uint32_t fewest_on_a_node(std::string_view list) {
  std::uint32_t fewest = std::numeric_limits<std::uint32_t>::max();
  while (!list.empty()) {
    const std::string_view entry = list.substr(0, list.find(','));
    fewest = std::min(fewest, number(entry.substr(0, entry.find('('))));
    list.remove_prefix(std::min(list.size(), entry.size() + 1));
  }
  return fewest == std::numeric_limits<std::uint32_t>::max() ? 0 : fewest;
}

// Under mpirun the variables are those of its daemon on this node, or of the batch script: SLURM_PROCID is not the
// rank's.
bool started_by_srun(const Lookup& lookup) {
  if (lookup("OMPI_COMM_WORLD_SIZE")) return false;
  const auto rank = lookup("PMIX_RANK") ? lookup("PMIX_RANK") : lookup("PMI_RANK");
  return rank && rank == lookup("SLURM_PROCID");
}

}  // namespace

std::vector<CpuLimit> slurm_limits(const Lookup& lookup, std::uint64_t process) {
  const std::uint32_t job = number(lookup, "SLURM_JOB_ID");
  std::uint32_t on_node = number(lookup, "SLURM_CPUS_ON_NODE");
  if (job == 0 || on_node == 0) return {};
  constexpr auto slurm = CpuLimit::Source::slurm;
  const bool by_srun = started_by_srun(lookup);
  // srun counts the CPUs of the step, and the step in which mpirun's daemons run may have fewer than the job.
  if (!by_srun && lookup("OMPI_COMM_WORLD_SIZE")) {
    on_node = std::max(on_node, fewest_on_a_node(lookup("SLURM_JOB_CPUS_PER_NODE").value_or("")));
  }
  std::vector<CpuLimit> limits{{.source = slurm, .group = job, .cpus = static_cast<double>(on_node)}};
  const std::uint32_t per_task = number(lookup, "SLURM_CPUS_PER_TASK");
  // Numbers of processes and of jobs may be the same.
  constexpr std::uint64_t own = std::uint64_t{1} << 63;
  if (by_srun && per_task != 0 && per_task < on_node) {
    limits.push_back({.source = slurm, .group = own | process, .cpus = static_cast<double>(per_task)});
  }
  return limits;
}

}  // namespace rankpool::support
