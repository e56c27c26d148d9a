// SIGTERM and SIGUSR1 in a job of a batch system, which says by them that it is going to end the job, to all processes
// of the job at once. The master ends its ranks and their executors in order; all of them leave the signals to it.
#pragma once

namespace rankpool::support {

/// From now on they are heeded here and in processes forked later, where that is asked for: see below. Everywhere else,
/// in children that the program forks say, they do what they do in any program. Leaves a signal alone for which the
/// program has a handler of its own, or which it ignores.
void catch_stop_signals();

/// In this process they are noted, and nothing more, as long as one of these lives.
class HeedingStopSignals {
 public:
  HeedingStopSignals();
  HeedingStopSignals(const HeedingStopSignals&) = delete;
  HeedingStopSignals& operator=(const HeedingStopSignals&) = delete;
  ~HeedingStopSignals();
};

/// In this process, an executor, they do nothing from now on.
void leave_stop_signals_to_master();

/// A file that can be read as soon as one has come to this process; -1 where they are not caught.
int stop_signal_file();

/// The one that has come last; 0: none.
int stop_signal();

}  // namespace rankpool::support
