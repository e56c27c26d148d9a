#include "journal/owner.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <sstream>
#include <system_error>

#include <rankpool/errors.hpp>

#include "support/machine.hpp"
#include "support/process_watch.hpp"
#include "support/signal_mask.hpp"
#include "support/unique_fd.hpp"

namespace rankpool::journal {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto between_looks = 200ms;

[[noreturn]] void throw_error(int error, const std::string& path) {
  throw std::system_error(error, std::system_category(), path);
}

/// The line that names a process: "<host> <pid> <start> <machine>".
std::string name_of_this_process() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  const auto process = support::ProcessIdentity::of_this_process();
  return std::string(host) + ' ' + std::to_string(process.pid) + ' ' + std::to_string(process.start) + ' ' +
         support::machine_id();
}

/// What stands in the file.
struct Note {
  std::string name;  ///< as name_of_this_process(); of one that is being written, or was not finished, maybe a part
  std::string beats;

  [[nodiscard]] std::string owner() const {
    std::istringstream fields(name);
    std::string host;
    std::string pid;
    fields >> host >> pid;
    return pid.empty() ? "another process" : "process " + pid + " on " + host;
  }
};

/// @returns nothing when there is no such file.
std::optional<Note> read_note(const std::string& path) {
  const support::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::nullopt;
  char text[1024];
  const ssize_t bytes = file ? read(file.get(), text, sizeof text) : -1;
  if (bytes < 0) throw_error(errno, path);
  std::istringstream lines(std::string(text, static_cast<std::size_t>(bytes)));
  Note note;
  std::getline(lines, note.name);
  std::getline(lines, note.beats);
  return note;
}

/// @returns whether it lives; nothing where only its beats can tell.
std::optional<bool> lives_here(const Note& note) {
  std::istringstream fields(note.name);
  std::string host;
  std::string machine;
  support::ProcessIdentity process;
  if (!(fields >> host >> process.pid >> process.start >> machine)) return std::nullopt;
  if (machine.empty() || machine != support::machine_id()) return std::nullopt;
  return !process.has_ended();
}

/// Whether its beats go on, or it goes away. @returns nothing when it does.
std::optional<bool> is_heard(const std::string& path, const Note& note, std::chrono::milliseconds silence) {
  for (const auto end = Clock::now() + silence; Clock::now() < end; std::this_thread::sleep_for(between_looks)) {
    const std::optional<Note> now = read_note(path);
    if (!now || now->name != note.name) return std::nullopt;
    if (now->beats != note.beats) return true;
  }
  return false;
}

/// Written and closed each time, so that other machines see it. @returns 0, or the error.
int write_note(const std::string& path, int flags, const std::string& name, std::uint64_t beats) {
  const support::UniqueFd file(open(path.c_str(), flags | O_WRONLY | O_CLOEXEC, 0644));
  if (!file) return errno;
  const std::string text = name + '\n' + std::to_string(beats) + '\n';
  const ssize_t written = pwrite(file.get(), text.data(), text.size(), 0);
  const int error = written < 0 ? errno : written != static_cast<ssize_t>(text.size()) ? ENOSPC : 0;
  if (error == 0 && fsync(file.get()) == 0) return 0;
  // Made here, and not finished.
  if ((flags & O_EXCL) != 0) unlink(path.c_str());
  return error != 0 ? error : errno;
}

/// Takes the dead owner's file away, unless another process has done so and made its own.
void bury(const std::string& path, const Note& dead) {
  const std::string grave = path + '.' + std::to_string(getpid());
  if (rename(path.c_str(), grave.c_str()) != 0) {
    if (errno == ENOENT) return;
    throw_error(errno, path);
  }
  const std::optional<Note> taken = read_note(grave);
  // Where somebody has made a file meanwhile, there are two owners, of which the other's next beat finds that out.
  if (taken && taken->name != dead.name) static_cast<void>(link(grave.c_str(), path.c_str()));
  unlink(grave.c_str());
}

}  // namespace

Owner::Owner(const std::string& journal, std::function<void()> on_loss, Patience patience)
    : path_(journal + ".lock"), name_(name_of_this_process()), on_loss_(std::move(on_loss)), patience_(patience) {
  take(journal);
  const support::SignalMask none(support::all_signals());  // they are for the program's threads
  beating_ = std::thread([this] { beat_on(); });
}

Owner::~Owner() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  ends_.notify_one();
  beating_.join();
  try {
    if (const auto note = read_note(path_); note && note->name == name_) unlink(path_.c_str());
  } catch (const std::exception&) {  // it tells of a process that has ended
  }
}

void Owner::take(const std::string& journal) {
  while (true) {
    const int error = write_note(path_, O_CREAT | O_EXCL, name_, beats_);
    if (error == 0) return;
    if (error != EEXIST) throw_error(error, path_);
    const std::optional<Note> other = read_note(path_);
    if (!other) continue;
    std::optional<bool> lives = lives_here(*other);
    if (!lives) {
      lives = is_heard(path_, *other, patience_.silence);
      if (!lives) continue;
    }
    if (*lives) {
      throw JournalError("the journal " + journal + " is in use by " + other->owner() +
                         "; give each running program a journal of its own");
    }
    bury(path_, *other);
  }
}

void Owner::beat_on() {
  std::unique_lock lock(mutex_);
  while (!ends_.wait_for(lock, patience_.between_beats, [this] { return ended_; })) {
    try {
      beat();
    } catch (const std::exception&) {  // which does not tell whose it is: the next one may
    }
    if (!lost_) continue;
    on_loss_();
    ends_.wait(lock, [this] { return ended_; });  // Journal::threads() counts this one
    return;
  }
}

void Owner::beat() {
  const std::optional<Note> note = read_note(path_);
  if (note && note->name != name_) {
    lost_ = true;
  } else if (!note) {  // somebody has removed it
    lost_ = write_note(path_, O_CREAT | O_EXCL, name_, ++beats_) == EEXIST;
  } else {
    static_cast<void>(write_note(path_, 0, name_, ++beats_));
  }
}

}  // namespace rankpool::journal
