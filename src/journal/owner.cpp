#include "journal/owner.hpp"

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rankpool/errors.hpp>

#include "support/unique_fd.hpp"

namespace rankpool::journal {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

std::string first_line_of(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Where pids mean the same: this boot of this kernel, this pid namespace.
std::string pid_scope() {
  struct stat space {};
  if (stat("/proc/self/ns/pid", &space) != 0) space.st_ino = 0;
  return first_line_of("/proc/sys/kernel/random/boot_id") + '/' + std::to_string(space.st_ino);
}

/// When a process began, in the kernel's ticks since boot; empty when there is none.
std::string start_of(pid_t pid) {
  const std::string stat = first_line_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return {};
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  constexpr int start_field = 22;
  for (int i = 3; i <= start_field && fields >> field; ++i) {
    if (i == 3 && (field == "Z" || field == "X")) return {};
  }
  return field;
}

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

/// The line that names a process: "<host> <pid> <start> <scope>".
std::string name_of_this_process() {
  return host_name() + ' ' + std::to_string(getpid()) + ' ' + start_of(getpid()) + ' ' + pid_scope();
}

struct Note {
  std::string name;  ///< as name_of_this_process()
  std::string beats;

  [[nodiscard]] std::string host() const { return name.substr(0, name.find(' ')); }
  [[nodiscard]] pid_t pid() const { return static_cast<pid_t>(std::atol(name.c_str() + name.find(' '))); }
  [[nodiscard]] std::string owner() const { return "process " + std::to_string(pid()) + " on " + host(); }
};

/// @returns nothing when there is no such file.
std::optional<Note> read_note(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  Note note;
  std::getline(file, note.name);
  std::getline(file, note.beats);
  return note;
}

/// @returns whether it lives; nothing where only its beats can tell.
std::optional<bool> lives_here(const Note& note) {
  std::istringstream fields(note.name);
  std::string host;
  std::string start;
  std::string scope;
  pid_t pid = 0;
  // A line that was not finished: its writer has died, or is about to finish it.
  if (!(fields >> host >> pid >> start >> scope)) return std::nullopt;
  if (scope != pid_scope()) return std::nullopt;
  return start_of(pid) == start;
}

/// Whether its beats go on.
bool is_heard(const std::string& path, const Note& note) {
  for (const auto end = Clock::now() + Owner::silence; Clock::now() < end; std::this_thread::sleep_for(200ms)) {
    const std::optional<Note> now = read_note(path);
    if (!now) return false;
    if (now->name != note.name || now->beats != note.beats) return true;
  }
  return false;
}

void write_note(const std::string& path, int flags, const std::string& name, std::uint64_t beats) {
  const support::UniqueFd file(open(path.c_str(), flags | O_WRONLY | O_CLOEXEC, 0644));
  const std::string text = name + '\n' + std::to_string(beats) + '\n';
  // Closed and synced each time, so that other machines see it.
  if (!file || pwrite(file.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
      fsync(file.get()) != 0) {
    throw std::system_error(errno, std::system_category(), "rankpool: " + path);
  }
}

/// Takes the dead owner's file away, unless another process has done so and made its own.
void bury(const std::string& path, const Note& dead) {
  const std::string grave = path + '.' + host_name() + '.' + std::to_string(getpid());
  if (rename(path.c_str(), grave.c_str()) != 0) return;
  const std::optional<Note> taken = read_note(grave);
  if (taken && taken->name != dead.name && link(grave.c_str(), path.c_str()) != 0) errno = 0;
  unlink(grave.c_str());
}

}  // namespace

Owner::Owner(const std::string& journal) : path_(journal + ".lock"), name_(name_of_this_process()) {
  while (true) {
    try {
      write_note(path_, O_CREAT | O_EXCL, name_, beats_);
      return;
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::file_exists) {
        unlink(path_.c_str());  // what a full disk has left of it
        throw;
      }
    }
    const std::optional<Note> other = read_note(path_);
    if (!other) continue;
    const bool lives = lives_here(*other) ? *lives_here(*other) : is_heard(path_, *other);
    if (lives) {
      throw JournalError("the journal " + journal + " is in use by " + other->owner() +
                         "; give each running program a journal of its own");
    }
    bury(path_, *other);
  }
}

Owner::~Owner() {
  if (const auto note = read_note(path_); note && note->name == name_) unlink(path_.c_str());
}

bool Owner::beat() noexcept {
  try {
    const std::optional<Note> note = read_note(path_);
    if (!note || note->name != name_) return false;
    write_note(path_, 0, name_, ++beats_);
  } catch (const std::exception&) {  // a full disk, say: others will take this process for dead, if that lasts
  }
  return true;
}

}  // namespace rankpool::journal
