#include "launch/walltime.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <iomanip>
#include <locale>
#include <sstream>

#include "support/unique_fd.hpp"

extern char** environ;

namespace rankpool::launch {
namespace {

using Clock = std::chrono::steady_clock;

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));  // NOLINT
  pointers.push_back(nullptr);
  return pointers;
}

/// Its standard output goes to `output`, its messages nowhere.
pid_t start(const std::vector<std::string>& command, const std::vector<std::string>& environment, int output) {
  const std::vector<char*> arguments = pointers_to(command);
  const std::vector<char*> variables = pointers_to(environment);
  sigset_t no_signals;
  sigemptyset(&no_signals);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &no_signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int error = posix_spawnp(&child, arguments.front(), &files, &attributes, arguments.data(), variables.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error == 0 ? child : 0;
}

}  // namespace

bool is_in_job(const Lookup& lookup) { return lookup("SLURM_JOB_ID") || lookup("RANKPOOL_END_TIME"); }

EndQuestion EndQuestion::of(const Lookup& lookup) {
  EndQuestion question;
  for (const char* variable : {"SLURM_JOB_END_TIME", "RANKPOOL_END_TIME"}) {
    const std::optional<std::string> text = lookup(variable);
    const auto seconds = text ? whole_number(*text) : std::nullopt;
    if (seconds && *seconds <= static_cast<std::int64_t>(latest_end_time)) {
      question.known = WallTime(std::chrono::seconds(*seconds));
    }
  }
  const std::optional<std::string> job = lookup("SLURM_JOB_ID");
  if (job && whole_number(*job)) question.job = *job;
  return question;
}

std::optional<WallTime> end_of_job(const EndQuestion& question, const Ask& ask) {
  if (question.known || question.job.empty()) return question.known;
  // Of an array, the number of one of its jobs is the number of the whole, too.
  std::istringstream lines(ask({"squeue", "--noheader", "--jobs", question.job, "--format=%A %e"}));
  for (std::string job, end; lines >> job >> end;) {
    if (job == question.job) return parse_local_time(end);
  }
  return std::nullopt;
}

std::vector<std::string> environment_for_slurm() {
  std::vector<std::string> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable(*entry);
    if (!variable.starts_with("SQUEUE_") && !variable.starts_with("SLURM_TIME_FORMAT=")) kept.emplace_back(variable);
  }
  return kept;
}

std::optional<WallTime> parse_local_time(std::string_view text) {
  std::tm time{};
  std::istringstream stream{std::string(text)};
  stream.imbue(std::locale::classic());
  stream >> std::get_time(&time, "%Y-%m-%dT%H:%M:%S");
  if (!stream) return std::nullopt;
  time.tm_isdst = -1;  // to be found out
  const std::time_t seconds = std::mktime(&time);
  if (seconds == -1) return std::nullopt;
  return std::chrono::system_clock::from_time_t(seconds);
}

std::string local_time_text(WallTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm fields{};
  localtime_r(&seconds, &fields);
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << std::put_time(&fields, "%Y-%m-%d %H:%M:%S");
  return text.str();
}

std::string output_of(const std::vector<std::string>& command, const std::vector<std::string>& environment,
                      std::chrono::milliseconds limit, int stop) {
  const auto deadline = Clock::now() + limit;
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  const support::UniqueFd reading(ends[0]);
  support::UniqueFd writing(ends[1]);
  const pid_t child = start(command, environment, writing.get());
  if (child == 0) return {};
  writing.reset();
  std::string text;
  bool is_whole = false;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    std::array<pollfd, 2> files{{{reading.get(), POLLIN, 0}, {stop, POLLIN, 0}}};
    const int ready = poll(files.data(), files.size(), static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 || files[1].revents != 0) break;
    std::array<char, 256> part{};
    const ssize_t bytes = read(reading.get(), part.data(), part.size());
    is_whole = bytes == 0;
    if (bytes <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(bytes));
  }
  if (!is_whole) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return is_whole && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? text : std::string();
}

}  // namespace rankpool::launch
