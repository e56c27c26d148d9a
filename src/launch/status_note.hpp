// The program's status for a launcher whose own tells nothing: mpirun's is always 0 when it lets a job outlive its
// ranks.
#pragma once

namespace rankpool::launch {

/// Where RANKPOOL_STATUS_FILE names a file, has rank 0 write its status there as a decimal number when it exits; a file
/// that stays empty means that it was killed. The variable is taken out of the environment: it is meant for no other
/// program.
void note_status_at_exit();

}  // namespace rankpool::launch
