#include "launch/status_note.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include <rankpool/detail/home_process.hpp>

#include "launch/launcher.hpp"
#include "support/unique_fd.hpp"

namespace rankpool::launch {
namespace {

constexpr const char* variable = "RANKPOOL_STATUS_FILE";

struct Note {
  std::string path;
  detail::HomeProcess home;  // a child that the program forks exits, too
};

void write_note(int status, void* argument) {
  const auto& note = *static_cast<const Note*>(argument);
  if (!note.home.is_here()) return;
  constexpr int exit_status_bits = 0xff;
  const std::string text = std::to_string(status & exit_status_bits) + "\n";
  const support::UniqueFd file(open(note.path.c_str(), O_WRONLY | O_CLOEXEC));
  [[maybe_unused]] const ssize_t written = write(file.get(), text.data(), text.size());
}

}  // namespace

void note_status_at_exit() {
  const std::optional<std::string> path = look_up(variable);
  if (!path) return;
  unsetenv(variable);
  std::optional<std::string> rank = look_up("OMPI_COMM_WORLD_RANK");
  if (!rank) rank = look_up("PMIX_RANK");
  if (rank != "0") return;
  // Lives to the very end: exit() calls the handler after main() has returned.
  on_exit(write_note, new Note{*path, {}});  // NOLINT(cppcoreguidelines-owning-memory)
}

}  // namespace rankpool::launch
