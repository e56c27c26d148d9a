// The loop of a node's leader rank: the master's messages on one side, the node's host on the other.
#pragma once

#include "host/host.hpp"
#include "transport/transport.hpp"

namespace rankpool::worker {

/// Serves `master` until it says stop; the host's executors have ended when this returns.
///
/// What goes wrong with a message or in the host ends the node's part in the pool: its executors are killed, the
/// master is told why, and the loop waits for the stop.
/// @throws std::runtime_error if MPI fails, for then nobody can be told; the executors are killed first.
void serve(host::Host& host, transport::Transport& transport, int master);

}  // namespace rankpool::worker
