/// @file
/// The task that runs in this thread, for the functions of rankpool::this_task.
#pragma once

#include <atomic>
#include <cstdint>

#include <rankpool/detail/call.hpp>

namespace rankpool::task {

/// Set once per chunk, not per task: the writer of its results knows which of its tasks runs.
struct TaskContext {
  const detail::ResultWriter* results = nullptr;
  std::uint32_t attempt = 1;
  int rank = 0;
  int slot = 0;
  const char* host = "";                             ///< outlives the context
  const std::atomic<std::uint32_t>* stop = nullptr;  ///< not 0: nobody waits for the task any more; null: never
};

/// Makes `context`, which it refers to, that of this thread's task while it lives.
class CurrentTask {
 public:
  explicit CurrentTask(const TaskContext& context) noexcept;
  CurrentTask(const CurrentTask&) = delete;
  CurrentTask& operator=(const CurrentTask&) = delete;
  ~CurrentTask();

 private:
  const TaskContext* previous_;
};

/// This process is an executor: all its threads belong to tasks.
void mark_executor() noexcept;
[[nodiscard]] bool is_executor() noexcept;

/// @returns the context of this thread's task; null outside a task.
const TaskContext* current_task() noexcept;

}  // namespace rankpool::task
