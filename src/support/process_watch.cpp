#include "support/process_watch.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

namespace rankpool::support {
namespace {

using Clock = std::chrono::steady_clock;

/// What /proc tells of a process.
struct Stat {
  char state = '\0';
  int threads = 0;
  std::uint64_t start = 0;

  /// The first thread may end before the others.
  [[nodiscard]] bool has_ended() const { return (state == 'Z' || state == 'X') && threads <= 1; }
};

std::string read_stat(pid_t pid) {
  const UniqueFd file(open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> text{};  // the fields that matter come early
  const ssize_t bytes = file ? read(file.get(), text.data(), text.size()) : 0;
  return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(bytes, 0))};
}

void skip_fields(std::istream& fields, int count) {
  std::string skipped;
  for (int i = 0; i < count; ++i) fields >> skipped;
}

// @returns nothing where /proc has no word of it: the process is gone, or /proc isn't there.
std::optional<Stat> stat_of(pid_t pid) {
  const std::string text = read_stat(pid);
  const std::size_t end_of_name = text.rfind(')');  // the name may hold anything
  if (end_of_name == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(end_of_name + 1));
  Stat stat;
  fields >> stat.state;  // the third field
  skip_fields(fields, 16);
  fields >> stat.threads;  // the 20th
  skip_fields(fields, 1);
  if (!(fields >> stat.start)) return std::nullopt;
  return stat;
}

bool has_number(pid_t pid) { return kill(pid, 0) == 0 || errno != ESRCH; }

}  // namespace

ProcessIdentity ProcessIdentity::of(pid_t pid) {
  const auto stat = stat_of(pid);
  return {pid, stat && !stat->has_ended() ? stat->start : unknown_start};
}

ProcessIdentity ProcessIdentity::of_this_process() { return of(getpid()); }

bool ProcessIdentity::has_ended() const {
  if (pid <= 0) return true;
  const auto stat = stat_of(pid);
  if (!stat) return !has_number(pid);
  return stat->has_ended() || (start != unknown_start && start != stat->start);
}

bool ProcessIdentity::is_replaced() const {
  const auto stat = stat_of(pid);
  return stat && start != unknown_start && start != stat->start;
}

// The number is looked at after it has been opened: what is opened then is the process it was to be.
ProcessWatch::ProcessWatch(const ProcessIdentity& process)
    : process_(process), file_(static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0))) {
  if (!process_.has_ended()) return;
  file_.reset();
  state_ = State::ended;
}

bool ProcessWatch::has_ended() const { return await_end(std::chrono::milliseconds(0)); }

bool ProcessWatch::await_end(std::chrono::milliseconds patience) const {
  if (state_ == State::ended) return true;
  if (file_) {
    pollfd end{file_.get(), POLLIN, 0};
    return poll(&end, 1, static_cast<int>(patience.count())) > 0;
  }
  constexpr auto between_looks = std::chrono::milliseconds(1);
  for (const auto deadline = Clock::now() + patience; !process_.has_ended();) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(between_looks);
  }
  return true;
}

void ProcessWatch::kill() const {
  if (state_ == State::ended) return;
  if (file_) {
    syscall(SYS_pidfd_send_signal, file_.get(), SIGKILL, nullptr, 0);
  } else if (!process_.has_ended()) {
    ::kill(process_.pid, SIGKILL);
  }
}

}  // namespace rankpool::support
