#include "task/this_task.hpp"

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/this_task.hpp>

namespace rankpool {

namespace task {

namespace {

thread_local const TaskContext* current = nullptr;
thread_local const Workplace* workplace_without_task = nullptr;

// Set once, before any task and so before any thread of a task.
bool in_executor = false;

}  // namespace

CurrentTask::CurrentTask(const TaskContext& context) noexcept : previous_(std::exchange(current, &context)) {}

CurrentTask::~CurrentTask() { current = previous_; }

CurrentWorkplace::CurrentWorkplace(const Workplace& workplace) noexcept { workplace_without_task = &workplace; }

CurrentWorkplace::~CurrentWorkplace() { workplace_without_task = nullptr; }

void mark_executor() noexcept { in_executor = true; }

bool is_executor() noexcept { return in_executor; }

const TaskContext* current_task() noexcept { return current; }

TaskNumber current_number() noexcept {
  return current == nullptr ? TaskNumber{} : TaskNumber{current->call, current->results->running_task()};
}

const TaskContext& require_task(const char* function) {
  if (current != nullptr) return *current;
  throw std::logic_error(std::string("rankpool: this_task::") + function +
                         "() was called outside a task: it answers only in the thread in which a task runs");
}

const Workplace& require_workplace(const char* function) {
  if (current == nullptr && workplace_without_task != nullptr) return *workplace_without_task;
  return *require_task(function).workplace;
}

}  // namespace task

std::uint64_t this_task::index() { return task::require_task("index").results->running_task(); }

std::uint32_t this_task::attempt() { return task::require_task("attempt").attempt; }

int this_task::rank() { return task::require_workplace("rank").rank; }

int this_task::slot() { return task::require_workplace("slot").slot; }

std::string this_task::host() { return task::require_workplace("host").host; }

bool this_task::stop_requested() {
  const auto* stop = task::require_task("stop_requested").stop;
  return stop != nullptr && stop->load(std::memory_order_relaxed) != 0;
}

void detail::refuse_inside_task(std::string_view what) {
  if (task::current_task() == nullptr && !task::is_executor()) return;
  throw std::logic_error("rankpool: " + std::string(what) +
                         " was called inside a task. A task can't use a pool: its own executor would have to wait for "
                         "itself. Return the work to the master, which can map it.");
}

}  // namespace rankpool
