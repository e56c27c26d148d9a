/// @file
/// What a running task may ask about itself.
#pragma once

#include <cstdint>
#include <string>

#include <rankpool/export.hpp>

/// Answers for the task that runs in the calling thread. Threads that a task starts itself are in no task.
/// All functions throw std::logic_error outside a task (rank(), slot() and host() also answer in an initializer), and
/// may be called from any thread at any time.
///
/// Python: none; the nearest is `multiprocessing.current_process()`.
namespace rankpool::this_task {

/// @returns the task's index in its call, from 0: the position of its input.
[[nodiscard]] RANKPOOL_API std::uint64_t index();

/// @returns which try of the task this is: 1, and more when executors died running it.
[[nodiscard]] RANKPOOL_API std::uint32_t attempt();

/// @returns the MPI rank that the executor belongs to; 0 without MPI.
[[nodiscard]] RANKPOOL_API int rank();

/// @returns the executor's number on its node, from 0, over all ranks there; an executor's replacement has its number.
/// Of four GPUs that a task sees `cudaSetDevice(slot() % 4)` gives each executor one; or the pool's initializer sets
/// CUDA_VISIBLE_DEVICES to an entry of the list that it has, which need not begin with 0. Spare executors, which serve
/// while tasks wait for shared objects, have numbers after those of the node's own and so come on top on each GPU.
[[nodiscard]] RANKPOOL_API int slot();

/// @returns the name of the host the task runs on.
[[nodiscard]] RANKPOOL_API std::string host();

/// Nobody waits for the task any more: its call's `timeout` has passed, its call was cancelled or its stream dropped
/// while it ran, or the pool is being ended. A long task asks now and then, cheaply, and returns early; what it returns
/// is dropped. One that doesn't ask runs to its end. It is not asked before it is killed for its `task_timeout`.
/// @returns whether to stop; once true, true for the rest of the task.
[[nodiscard]] RANKPOOL_API bool stop_requested();

}  // namespace rankpool::this_task
