/// @file
/// What the scheduler's tests have in common.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "scheduler/scheduler.hpp"

namespace rankpool::scheduler {

inline std::vector<Command> drain(Scheduler& scheduler) {
  std::vector<Command> commands;
  while (auto command = scheduler.next()) commands.push_back(*command);
  return commands;
}

template <typename Kind>
std::vector<Kind> only(const std::vector<Command>& commands) {
  std::vector<Kind> kind;
  for (const Command& command : commands) {
    if (const Kind* one = std::get_if<Kind>(&command)) kind.push_back(*one);
  }
  return kind;
}

inline std::vector<RunLot> lots(Scheduler& scheduler) { return only<RunLot>(drain(scheduler)); }

inline RunLot one_lot(Scheduler& scheduler) {
  const std::vector<Command> commands = drain(scheduler);
  EXPECT_EQ(commands.size(), 1U);
  const std::vector<RunLot> found = only<RunLot>(commands);
  return found.empty() ? RunLot{} : found.front();
}

inline void finish(Scheduler& scheduler, const RunLot& lot, Nanoseconds per_task = 1000) {
  EXPECT_TRUE(scheduler.tasks_done(lot.host, lot.lot, lot.tasks, per_task * static_cast<Nanoseconds>(lot.tasks.count)));
}

inline void add_job(Scheduler& scheduler, JobId id, std::uint64_t tasks, JobOptions options = {}) {
  options.total = tasks;
  scheduler.open_job(id, options);
  scheduler.add_tasks(id, {0, tasks});
  scheduler.end_input(id);
}

}  // namespace rankpool::scheduler
