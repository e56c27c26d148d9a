// What an executor leaves when it dies: results, the task it ran, and tasks that nobody has begun.
#include <sys/wait.h>

#include <bit>
#include <string>
#include <utility>

#include "host/shared_host.hpp"

namespace rankpool::host {

bool killed_from_outside(int wait_status) {
  return WIFSIGNALED(wait_status) && (WTERMSIG(wait_status) == SIGKILL || WTERMSIG(wait_status) == SIGTERM);
}

void SharedHost::settle_estate(std::uint32_t slot, HostListener& listener) {
  task::DeathReport report = report_of_dead(slot);
  drain(slot, listener);
  drain_open_run(slot, listener);
  if (settle_chunk_of_dead(slot, report, listener)) return order_audits(std::nullopt);
  report.time_limit = {};
  order_audits(report);
}

// To be asked before anything is changed that tells how far the executor had come.
task::DeathReport SharedHost::report_of_dead(std::uint32_t slot) {
  const ExecutorSlot& executor = channel_.slot(slot);
  const LastWords& last_words = channel_.last_words(slot);
  task::DeathReport report{.rank = executors_[slot].rank,
                           .host = host_name_,
                           .slot = static_cast<int>(slot),
                           .pid = executors_[slot].pid != 0 ? executors_[slot].pid : executor.pid.load(),
                           .wait_status = executor.wait_status.load(),
                           .time_limit = exceeded_limit(slot),
                           .stderr_tail = last_words.errors.written_at(channel_.progress(slot)),
                           .stack = {}};
  if (!WIFSIGNALED(report.wait_status)) return report;
  report.stack = last_words.crash.stack(WTERMSIG(report.wait_status));
  const std::string message = last_words.crash.abort_message(WTERMSIG(report.wait_status));
  // Of a failed assertion the C library writes it to the stream too.
  if (report.stderr_tail.find(message) == std::string::npos) {
    report.stderr_tail += (report.stderr_tail.empty() ? "" : "\n") + message;
  }
  return report;
}

// @returns whether what it says of its work explains its death. A task may have written over that: then tasks are
// outstanding that nobody is known to have.
bool SharedHost::settle_chunk_of_dead(std::uint32_t slot, const task::DeathReport& report, HostListener& listener) {
  const ExecutorSlot& executor = channel_.slot(slot);
  const bool sound = executors_[slot].sense == Sense::sound && executor.claiming.load() <= max_lots;
  // Only while it runs a task does an executor come to such an end by itself.
  const bool by_itself = report.wait_status != 0 && !killed_from_outside(report.wait_status);
  const std::uint64_t end = executor.chunk_end.load();
  const LotId lot = executor.chunk_lot.load();
  const std::uint64_t first = executor.chunk_first.load();
  const LotAccount* account = end != 0 ? board_.account_of(lot) : nullptr;
  if (account == nullptr) return sound && !by_itself;
  if (!account->holds(first, end)) return false;
  const TaskRange left = account->outstanding_run(first, end);
  if (left.count == 0) return sound && !by_itself;
  board_.settle(lot, left.first, 1);
  listener.on_task_died(lot, left.first, report);
  if (left.count > 1 && board_.settle(lot, left.first + 1, left.count - 1)) {
    listener.on_tasks_returned(lot, left.first + 1, left.count - 1);
  }
  return sound;
}

// Of all lots: also those it doesn't speak of.
void SharedHost::order_audits(const std::optional<task::DeathReport>& blamed) {
  for (std::uint32_t lot_slot = 0; lot_slot < max_lots; ++lot_slot) {
    const LotAccount* account = board_.account(lot_slot);
    if (account == nullptr) continue;
    // It may have died before it said that the lot is used up; then the others would look for work there without end.
    board_.hide_if_exhausted(lot_slot);
    Audit& audit = audits_[lot_slot];
    if (audit.lot != account->lot().id) audit = {account->lot().id, std::nullopt};
    if (!audit.blamed) audit.blamed = blamed;
  }
}

bool SharedHost::audit_lots(HostListener& listener) {
  bool found = false;
  for (auto next = audits_.begin(); next != audits_.end();) {
    const auto& [lot_slot, audit] = *next;
    const LotAccount* account = board_.account(lot_slot);
    const bool open = account != nullptr && account->lot().id == audit.lot;
    bool busy = open && !board_.exhausted(lot_slot);
    for (std::uint32_t slot = 0; open && !busy && slot < channel_.slots(); ++slot) {
      busy = may_still_tell(slot, lot_slot);
    }
    if (busy) {
      ++next;
      continue;
    }
    const Audit due = std::move(next->second);
    next = audits_.erase(next);
    if (!open) continue;
    settle_lost(due, listener);
    found = true;
  }
  return found;
}

// Whether the executor has tasks of the lot, or has ended some and not told it yet.
bool SharedHost::may_still_tell(std::uint32_t slot, std::uint32_t lot_slot) {
  if (executors_[slot].sense == Sense::astray) return true;  // known when it is dead
  const ExecutorSlot& executor = channel_.slot(slot);
  if (executor.claiming.load(std::memory_order_seq_cst) == lot_slot + 1) return true;
  return channel_.header().ready.contains(slot) || channel_.header().exited.contains(slot);
}

// Tasks that are claimed, by no executor that lives, and not accounted for were taken to the grave by one that died
// right after its claim, before it had started them: they go back uncharged. Unless one has gone astray, which may have
// ended them and destroyed the record of it: it would do so again and again.
void SharedHost::settle_lost(const Audit& audit, HostListener& listener) {
  std::uint64_t from = 0;
  for (const LotAccount* account = nullptr; (account = board_.account_of(audit.lot)) != nullptr;) {
    const Lot& lot = account->lot();
    const TaskRange lost = account->outstanding_run(std::max(from, lot.first), lot.first + lot.count);
    if (lost.count == 0) return;
    from = lost.first + lost.count;
    board_.settle(audit.lot, lost.first, lost.count);
    if (!audit.blamed) {
      listener.on_tasks_returned(audit.lot, lost.first, lost.count);
      continue;
    }
    for (std::uint64_t task = lost.first; task < from; ++task) listener.on_task_died(audit.lot, task, *audit.blamed);
  }
}

}  // namespace rankpool::host
