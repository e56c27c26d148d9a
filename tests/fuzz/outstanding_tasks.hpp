// A scheduler that has handed out a job's tasks, and a book of them that tells which reports it may believe.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <variant>

#include "fuzz/target.hpp"
#include "scheduler/scheduler.hpp"

namespace rankpool::fuzz {

class OutstandingTasks {
 public:
  OutstandingTasks() {
    scheduler_.add_host(other, 2);
    scheduler_.add_host(reporter, 2);
    scheduler_.open_job(job, {.chunksize = 4, .max_attempts = 2});
    scheduler_.add_tasks(job, {0, tasks});
    scheduler_.end_input(job);
    take_commands();
  }

  void done(scheduler::LotId lot, scheduler::TaskRange range, scheduler::Nanoseconds time) {
    const bool is_out = take(lot, range);
    require(scheduler_.tasks_done(reporter, lot, range, time) == is_out, "results count once, for tasks that are out");
    if (is_out) ended_ += range.count;
    take_commands();
  }
  void died(scheduler::LotId lot, std::uint64_t task) {
    const bool is_out = take(lot, {task, 1});
    require(scheduler_.task_died(reporter, lot, task) == is_out, "only a task that is out can die");
    take_commands();
  }
  void returned(scheduler::LotId lot, scheduler::TaskRange range) {
    const bool is_out = range.count == 0 ? lots_.contains(lot) : take(lot, range);
    require(scheduler_.tasks_returned(reporter, lot, range) == is_out, "only tasks that are out come back");
    take_commands();
  }

 private:
  static constexpr scheduler::HostId other = 0;
  static constexpr scheduler::HostId reporter = 1;
  static constexpr scheduler::JobId job = 1;
  static constexpr std::uint64_t tasks = 64;

  /// Takes the tasks out of the book, if the reporter has them all.
  bool take(scheduler::LotId lot, scheduler::TaskRange range) {
    const auto known = lots_.find(lot);
    if (known == lots_.end() || range.count == 0 || range.count > tasks || range.first >= tasks) return false;
    auto& out = known->second;
    for (std::uint64_t i = 0; i < range.count; ++i) {
      if (!out.contains(range.first + i)) return false;
    }
    for (std::uint64_t i = 0; i < range.count; ++i) out.erase(range.first + i);
    if (out.empty()) lots_.erase(known);
    return true;
  }

  void take_commands() {
    while (const auto command = scheduler_.next()) std::visit([this](const auto& it) { carry_out(it); }, *command);
  }
  void carry_out(const scheduler::RunLot& command) {
    if (command.host != reporter) return;
    auto& out = lots_[command.lot];
    for (std::uint64_t task = command.tasks.first; task < command.tasks.end(); ++task) out.insert(task);
  }
  void carry_out(const scheduler::RetractLot&) {}
  void carry_out(const scheduler::GiveUp& command) {
    require(command.task < tasks, "a task that is given up is one of the job's");
    ++ended_;
  }
  void carry_out(const scheduler::JobDone&) { require(ended_ == tasks, "a job is done when its tasks are"); }

  scheduler::Scheduler scheduler_;
  std::map<scheduler::LotId, std::set<std::uint64_t>> lots_;  ///< what the reporter has
  std::uint64_t ended_ = 0;
};

}  // namespace rankpool::fuzz
