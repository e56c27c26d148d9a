// The loop of a node's leader rank: the master's messages on one side, the node's host on the other.
#pragma once

#include "host/host.hpp"
#include "support/process_watch.hpp"
#include "transport/transport.hpp"

namespace rankpool::worker {

/// Serves `master` until it says stop; the host's executors have ended when this returns.
///
/// What goes wrong with a message or in the host ends the node's part in the pool: its executors are killed, the
/// master is told why, and the loop waits for the stop.
/// @throws std::runtime_error if MPI fails or the master is gone; the executors are killed first.
/// @param master_process the master's, if it can be watched; null otherwise.
void serve(host::Host& host, transport::Transport& transport, int master,
           const support::ProcessWatch* master_process = nullptr);

}  // namespace rankpool::worker
