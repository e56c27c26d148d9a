#include "launch/status_note.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

#include <rankpool/detail/home_process.hpp>

#include "launch/launcher.hpp"
#include "launch/walltime.hpp"
#include "support/unique_fd.hpp"

namespace rankpool::launch {
namespace {

constexpr const char* variable = "RANKPOOL_STATUS_FILE";

struct Note {
  std::string path;
  detail::HomeProcess home;  // a child that the program forks exits, too
  bool of_rank_0 = false;
};

/// Where there is one. Not destroyed: exit() may need it to the very end.
const Note* note = nullptr;

bool is_rank_0() {
  std::optional<std::string> rank = look_up("OMPI_COMM_WORLD_RANK");
  if (!rank) rank = look_up("PMIX_RANK");
  return rank == "0";
}

/// Before main(), so that it is told of every exit, and after everything else that happens then.
[[maybe_unused]] const bool told = [] {
  const std::optional<std::string> path = look_up(variable);
  if (!path) return false;
  unsetenv(variable);
  note = new Note{*path, {}, is_rank_0()};  // NOLINT(cppcoreguidelines-owning-memory)
  return note->of_rank_0 && on_exit([](int status, void*) { note_status(status); }, nullptr) == 0;
}();

/// A launcher's file has no name any more, and nothing in it yet. On another machine, the path may lead to anything.
bool is_blank_note(int file) {
  struct stat found {};
  return fstat(file, &found) == 0 && S_ISREG(found.st_mode) && found.st_nlink == 0 && found.st_size == 0 &&
         found.st_uid == geteuid();
}

}  // namespace

void note_status(int status) {
  if (note != nullptr && note->of_rank_0) note_end_of_job(status);
}

void note_end_of_job(int status) {
  if (note == nullptr || !note->home.is_here()) return;
  constexpr int exit_status_bits = 0xff;
  const std::string text = std::to_string(status & exit_status_bits) + "\n";
  const support::UniqueFd file(open(note->path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || !is_blank_note(file.get())) return;
  [[maybe_unused]] const ssize_t written = pwrite(file.get(), text.data(), text.size(), 0);
}

// mpirun is to pass on what this rank has printed before.
constexpr std::chrono::seconds time_to_pass_on{1};

void end_without_lost_node(int status) {
  note_status(status);
  const pid_t parent = getppid();
  std::ifstream name_file("/proc/" + std::to_string(parent) + "/comm");
  std::string name;
  std::getline(name_file, name);
  const auto job = look_up("SLURM_JOB_ID");
  const auto step = look_up("SLURM_STEP_ID");
  if (name == "slurmstepd" && job && step) {
    constexpr std::chrono::seconds patience{5};
    output_of({"scancel", *job + "." + *step}, environment_for_slurm(), patience, -1);
  } else if (name == "mpirun" || name == "mpiexec" || name == "orterun") {
    std::this_thread::sleep_for(time_to_pass_on);
    kill(parent, SIGKILL);
  }
}

}  // namespace rankpool::launch
