// The one zygote of a process, whatever number of pools that opens.
#pragma once

#include <list>
#include <mutex>
#include <string>

#include "host/zygote.hpp"

namespace rankpool::launch {

/// All members from any thread.
class ProcessZygote {
 public:
  static ProcessZygote& instance();

  /// The zygote, forked at the first call, or anew when the last one was killed. `mpi_runs`: after MPI_Init.
  host::Zygote& get(bool mpi_runs);

  /// What is to be said of the last fork, the first time it is asked: empty, or that the process had threads already.
  std::string take_warning();

 private:
  std::mutex mutex_;
  std::list<host::Zygote> zygotes_;  ///< the last one serves; pools may still hold those before it, which were killed
  std::string warning_;
};

}  // namespace rankpool::launch
