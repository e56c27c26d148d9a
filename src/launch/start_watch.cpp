#include "launch/start_watch.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <utility>

#include <boost/mpi/environment.hpp>

#include "launch/launcher.hpp"
#include "launch/status_note.hpp"
#include "support/process_watch.hpp"
#include "transport/session.hpp"

namespace rankpool::launch {
namespace {

using namespace std::chrono_literals;
using support::ProcessIdentity;

// A launcher that starts the ranks of a machine one after the other takes no longer for any of them.
constexpr auto launch_limit = 5s;
constexpr auto glance_interval = 100ms;
// The first rank of those that know ends the job.
constexpr auto patience = 2s;

std::filesystem::path proc(pid_t pid) { return "/proc/" + std::to_string(pid); }

pid_t parent_of(pid_t pid) {
  std::ifstream status(proc(pid) / "status");
  pid_t parent = 0;
  for (std::string word; status >> word;) {
    if (word == "PPid:" && status >> parent) break;
  }
  return parent;
}

/// As the process was started with it.
std::optional<std::string> variable_of(pid_t pid, const std::string& name) {
  std::ifstream environment(proc(pid) / "environ");
  for (std::string entry; std::getline(environment, entry, '\0');) {
    if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
  }
  return std::nullopt;
}

std::optional<int> rank_of(pid_t pid) {
  const auto rank = variable_of(pid, "OMPI_COMM_WORLD_RANK");
  if (!rank || variable_of(pid, "PMIX_NAMESPACE") != look_up("PMIX_NAMESPACE")) return std::nullopt;
  return std::atoi(rank->c_str());
}

/// The launcher's process on this machine: a rank may have been started by a script that it started.
pid_t launcher() {
  pid_t pid = getppid();
  while (pid > 1 && rank_of(pid)) pid = parent_of(pid);
  return pid;
}

/// The job's ranks on this machine that live, by their numbers.
std::map<int, ProcessIdentity> ranks_started_by(pid_t launcher) {
  std::map<int, ProcessIdentity> ranks;
  std::error_code gone;
  for (const auto& thread : std::filesystem::directory_iterator(proc(launcher) / "task", gone)) {
    std::ifstream children(thread.path() / "children");
    for (pid_t child = 0; children >> child;) {
      if (const auto rank = rank_of(child)) ranks.emplace(*rank, ProcessIdentity::of(child));
    }
  }
  return ranks;
}

class Ranks {
 public:
  /// @returns whether a rank of this machine has ended.
  bool look() {
    for (const auto& rank : ranks_started_by(launcher_)) {
      if (seen_.insert(rank).second) last_start_ = Clock::now();
    }
    // Where /proc doesn't show this one, it tells nothing of the others.
    if (!seen_.contains(self_)) return false;
    if (std::ranges::any_of(seen_, has_ended)) return true;
    const bool all_started = boost::mpi::environment::initialized() || Clock::now() > last_start_ + launch_limit;
    return all_started && seen_.size() < size_;
  }

  /// @returns whether this is the one to end the job.
  [[nodiscard]] bool is_first() const {
    const auto first = std::ranges::find_if_not(seen_, has_ended);
    return first == seen_.end() || first->first == self_;
  }

  void kill_others() const {
    for (const auto& [rank, process] : seen_) {
      if (rank != self_) support::ProcessWatch(process).kill();
    }
  }
  [[nodiscard]] bool are_all_here() const { return number("OMPI_COMM_WORLD_SIZE") == size_; }

  [[nodiscard]] std::string who_has_ended() const {
    const auto ended = std::ranges::find_if(seen_, has_ended);
    return ended == seen_.end() ? "a rank" : "rank " + std::to_string(ended->first);
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Rank = std::pair<const int, ProcessIdentity>;

  static bool has_ended(const Rank& rank) { return rank.second.has_ended(); }

  static std::size_t number(const char* variable) {
    return static_cast<std::size_t>(std::atoi(look_up(variable).value_or("0").c_str()));
  }

  pid_t launcher_ = launcher();
  int self_ = static_cast<int>(number("OMPI_COMM_WORLD_RANK"));
  std::size_t size_ = number("OMPI_COMM_WORLD_LOCAL_SIZE");
  Clock::time_point last_start_ = Clock::now();
  std::map<int, ProcessIdentity> seen_;
};

[[noreturn]] void end_job(const Ranks& ranks) {
  if (!ranks.is_first()) std::this_thread::sleep_for(patience);
  std::cerr << "rankpool: " + ranks.who_has_ended() +
                   " was killed or ended before all ranks had come to the pool, so the job ends. A rank that ended by "
                   "itself has said why, or has left main() before rankpool::run()\n"
            << std::flush;
  note_end_of_job(EXIT_FAILURE);
  ranks.kill_others();
  if (!ranks.are_all_here() && boost::mpi::environment::initialized()) boost::mpi::environment::abort(EXIT_FAILURE);
  _exit(EXIT_FAILURE);
}

void watch(const std::stop_token& started) {
  Ranks ranks;
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  while (!started.stop_requested()) {
    if (ranks.look()) end_job(ranks);
    never.wait_for(lock, started, glance_interval, [] { return false; });
  }
}

}  // namespace

StartWatch::StartWatch() {
  if (transport::MpiSession::outlives_ranks()) thread_ = std::jthread(watch);
}

}  // namespace rankpool::launch
