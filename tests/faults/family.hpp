/// @file
/// The processes of this run on this machine, as /proc shows them: the ranks, their zygotes, and their executors.
#pragma once

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include <unistd.h>

namespace rankpool::test {

using Pids = std::vector<int>;

inline std::string proc(int pid, const std::string& file) { return "/proc/" + std::to_string(pid) + "/" + file; }

/// @returns whether a process runs this executable; one that has ended, reaped or not, runs none.
inline bool runs_this_program(int pid) {
  std::error_code gone;
  static const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  return std::filesystem::read_symlink(proc(pid, "exe"), gone) == self && !gone;
}

/// @returns the processes that these have started and that run this executable too.
inline Pids children_of(const Pids& parents) {
  Pids all;
  std::error_code gone;
  for (const int parent : parents) {
    for (const auto& thread : std::filesystem::directory_iterator(proc(parent, "task"), gone)) {
      std::ifstream children(thread.path() / "children");
      for (int child = 0; children >> child;) {
        if (runs_this_program(child)) all.push_back(child);
      }
    }
  }
  return all;
}

inline bool launched() { return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr; }

/// The master is one of the ranks.
inline Pids ranks() { return launched() ? children_of({getppid()}) : Pids{getpid()}; }
inline Pids zygotes() { return children_of(ranks()); }
inline Pids executors() { return children_of(zygotes()); }

/// @returns the state that /proc gives a process: R, S, T, Z...; X when it is gone.
inline char state_of(int pid) {
  std::ifstream status(proc(pid, "status"));
  for (std::string word; status >> word;) {
    char state = 'X';
    if (word == "State:" && status >> state) return state;
  }
  return 'X';
}

inline bool is_dead(int pid) {
  const char state = state_of(pid);
  return state == 'X' || state == 'Z';
}

}  // namespace rankpool::test
