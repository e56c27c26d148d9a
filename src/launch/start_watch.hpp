// Under a launcher that lets a job outlive its ranks: sees ranks of this machine die while the job starts, when all the
// others would wait for them in MPI without end, and ends the job.
#pragma once

#include <thread>

namespace rankpool::launch {

class StartWatch {
 public:
  /// Before MPI is started. Does nothing where the launcher itself ends a job that has lost a rank.
  StartWatch();

 private:
  std::jthread thread_;
};

}  // namespace rankpool::launch
