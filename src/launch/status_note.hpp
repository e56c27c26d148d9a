// The program's status for a launcher whose own tells nothing: mpirun's is always 0 when it lets a job outlive its
// ranks. Where RANKPOOL_STATUS_FILE names a file, rank 0 writes its status there as a decimal number when it exits,
// whether or not it has come to run(); a file that stays empty means that it was killed. The variable is taken out of
// the environment: it is meant for no other program.
#pragma once

namespace rankpool::launch {

/// Writes rank 0's status now, unless there is one: for a process that is to end without exit(). Others write nothing.
void note_status(int status);

/// The same for any rank, which ends all the others.
void note_end_of_job(int status);

/// For rank 0 where a node is lost: the job's status, and the end of the launcher, which may wait for that node for
/// minutes.
void end_without_lost_node(int status);

}  // namespace rankpool::launch
