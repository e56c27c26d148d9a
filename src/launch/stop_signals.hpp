// SIGTERM and SIGUSR1 in a job of a batch system, which says by them that it is going to end the job.
#pragma once

namespace rankpool::launch {

/// From now on they end no process of this program: not the ranks, whose master ends them in order, and not the
/// zygotes and executors forked later, which get them too where a batch system signals all processes of a job.
/// Leaves a signal alone for which the program has a handler of its own, or which it ignores.
void heed_stop_signals();

/// A file that can be read as soon as one has come, to this process; -1 where they are not heeded.
int stop_signal_file();

/// The one that has come last; 0: none.
int stop_signal();

}  // namespace rankpool::launch
