/// @file
/// The task that runs in this thread, for the functions of rankpool::this_task.
#pragma once

#include <atomic>
#include <cstdint>

#include <rankpool/detail/call.hpp>

namespace rankpool::task {

/// What all tasks of an executor have in common.
struct Workplace {
  int rank = 0;
  int slot = 0;
  const char* host = "";
  std::uint64_t seed = 0;  ///< of the pool
};

/// Set once per chunk, not per task: the writer of its results knows which of its tasks runs.
struct TaskContext {
  const detail::ResultWriter* results = nullptr;
  const Workplace* workplace = nullptr;
  std::uint64_t call = 0;            ///< its number in the pool
  std::uint64_t random_numbers = 0;  ///< those of the call of this number
  std::uint32_t attempt = 1;
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

/// Makes `workplace`, which it refers to, that of this thread while it lives: an initializer runs in no task, but
/// somewhere.
class CurrentWorkplace {
 public:
  explicit CurrentWorkplace(const Workplace& workplace) noexcept;
  CurrentWorkplace(const CurrentWorkplace&) = delete;
  CurrentWorkplace& operator=(const CurrentWorkplace&) = delete;
  ~CurrentWorkplace();
};

/// This process is an executor: all its threads belong to tasks.
void mark_executor() noexcept;
[[nodiscard]] bool is_executor() noexcept;

/// @returns the context of this thread's task; null outside a task.
const TaskContext* current_task() noexcept;

/// Which task of which call runs in this thread; zeros outside a task.
struct TaskNumber {
  std::uint64_t call = 0;
  std::uint64_t index = 0;

  friend bool operator==(const TaskNumber&, const TaskNumber&) = default;
};
TaskNumber current_number() noexcept;

/// @returns where this thread's task or initializer runs.
/// @throws std::logic_error elsewhere, see require_task().
const Workplace& require_workplace(const char* function);

/// @returns current_task().
/// @throws std::logic_error outside a task, which says that this_task::`function`() was called there.
const TaskContext& require_task(const char* function);

}  // namespace rankpool::task
