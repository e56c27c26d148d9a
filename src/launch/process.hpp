// What a process has once, whatever number of pools it opens: its zygote, and the run that must not outlive an exit.
#pragma once

#include <atomic>
#include <functional>

#include "host/zygote.hpp"

namespace rankpool::launch {

/// The process's zygote, forked at the first call. `mpi_runs`: it is forked after MPI_Init.
host::Zygote& zygote(bool mpi_runs);

/// While it lives, std::exit() ends the run first: `end` is called before static objects are destroyed.
class ExitGuard {
 public:
  explicit ExitGuard(std::function<void()> end);
  ~ExitGuard();
  ExitGuard(const ExitGuard&) = delete;
  ExitGuard& operator=(const ExitGuard&) = delete;

 private:
  static void at_exit();

  std::function<void()> end_;
  int pid_;  ///< a child that the master forked inherits the guard, but not the run
};

}  // namespace rankpool::launch
