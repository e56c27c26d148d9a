#include "launch/launcher.hpp"

#include <charconv>
#include <cstdlib>

namespace rankpool::launch {
namespace {

std::optional<int> number(const Lookup& lookup, const char* name) {
  const std::optional<std::string> text = lookup(name);
  if (!text) return std::nullopt;
  int value = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::string> look_up(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return value;
}

Launcher detect(const Lookup& lookup) {
  // A shell that `srun --pty` gives, and all that is started in it, has the variables of its step's only task.
  if (lookup("SLURM_PTY_PORT") && !lookup("OMPI_COMM_WORLD_SIZE") && number(lookup, "SLURM_STEP_NUM_TASKS") == 1) {
    return {};
  }
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (lookup(name)) return {.launch = Launch::launched, .error = {}};
  }
  const int tasks = number(lookup, "SLURM_STEP_NUM_TASKS").value_or(1);
  if (tasks <= 1) return {};
  return {.launch = Launch::refused,
          .error = "rankpool: Slurm started " + std::to_string(tasks) +
                   " tasks of this program without MPI, so each would run the whole program. Start it with `srun "
                   "--mpi=pmix` or with `mpirun`, or as a single task."};
}

std::optional<int> promised_ranks(const Lookup& lookup) {
  // Under mpirun in a Slurm job the SLURM_ variables are those of mpirun's own daemons: Open MPI's word comes first.
  if (const auto size = number(lookup, "OMPI_COMM_WORLD_SIZE")) return size;
  if (const auto size = number(lookup, "PMI_SIZE")) return size;
  const auto rank = number(lookup, "PMIX_RANK");
  if (rank && rank == number(lookup, "SLURM_PROCID")) return number(lookup, "SLURM_STEP_NUM_TASKS");
  return std::nullopt;
}

std::optional<std::string> check_world(std::optional<int> promised, int actual) {
  if (!promised || *promised <= actual) return std::nullopt;
  return "rankpool: the launcher started " + std::to_string(*promised) + " ranks, but MPI_COMM_WORLD has " +
         std::to_string(actual) +
         ": launcher and MPI library do not belong together, and each rank would run the whole program. Start it with "
         "the `mpirun` of the Open MPI it is linked with, or with `srun --mpi=pmix`.";
}

}  // namespace rankpool::launch
