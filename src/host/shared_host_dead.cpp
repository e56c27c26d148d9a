// What an executor leaves when it dies: results, the task it ran, and tasks that nobody has begun.
#include <sys/wait.h>

#include <algorithm>
#include <string>
#include <utility>

#include "host/shared_host.hpp"

namespace rankpool::host {

bool killed_from_outside(int wait_status) {
  return WIFSIGNALED(wait_status) && (WTERMSIG(wait_status) == SIGKILL || WTERMSIG(wait_status) == SIGTERM);
}

void SharedHost::settle_estate(std::uint32_t slot, HostListener& listener) {
  task::DeathReport report = report_of_dead(slot);
  if (channel_.header().returning.contains(slot)) take_returned(slot, listener);
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
                           .is_ours = executors_[slot].sense == Sense::astray,
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
  // It may have died before it said that a lot is used up; then the others would look for work there without end.
  board_.hide_exhausted();
  board_.for_each_lot([&](const LotAccount& account, std::uint32_t lot_slot) {
    Audit& audit = audits_[account.lot().id];
    audit.lot_slot = lot_slot;
    if (!audit.blamed) audit.blamed = blamed;
  });
}

bool SharedHost::audit_lots(HostListener& listener) {
  bool found = false;
  for (auto next = audits_.begin(); next != audits_.end();) {
    const auto& [lot, audit] = *next;
    const bool open = board_.account_of(lot) != nullptr;
    bool busy = open && !board_.is_exhausted(lot);
    // In this order: what an executor begins to give back, or goes on with, between the two is still counted as its
    // own.
    const std::vector<TaskRange> lost = open && !busy ? lost_of(lot) : std::vector<TaskRange>();
    for (std::uint32_t slot = 0; open && !busy && slot < channel_.slots(); ++slot) {
      busy = may_still_tell(slot, lot, audit.lot_slot);
    }
    if (busy) {
      ++next;
      continue;
    }
    const auto due = audits_.extract(next++);
    if (!open) continue;
    settle_lost(due.key(), lost, due.mapped().blamed, listener);
    found = true;
  }
  return found;
}

// Whether the executor may have tasks of the lot that it doesn't name, or has ended some and not told it yet. One that
// waits for others in a task names its own, and may wait for what is lost.
bool SharedHost::may_still_tell(std::uint32_t slot, LotId lot, std::uint32_t lot_slot) {
  if (executors_[slot].sense == Sense::astray) return true;  // known when it is dead
  ChannelHeader& header = channel_.header();
  const ExecutorSlot& executor = channel_.slot(slot);
  if (executor.claiming.load(std::memory_order_seq_cst) == lot_slot + 1) {
    const bool names_its_chunk = executor.chunk_end.load(std::memory_order_acquire) != 0;
    if (!names_its_chunk || (executor.chunk_lot.load() == lot && !header.blocked.contains(slot))) return true;
  }
  return header.returning.contains(slot) || header.ready.contains(slot) || header.exited.contains(slot);
}

/// @returns the tasks that are outstanding, without those that executors say they have or give back.
std::vector<TaskRange> SharedHost::lost_of(LotId lot) {
  std::vector<TaskRange> named;
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    const ExecutorSlot& executor = channel_.slot(slot);
    // First the end of the chunk, which is changed last.
    const std::uint64_t end = executor.chunk_end.load(std::memory_order_acquire);
    const std::uint64_t first = executor.chunk_first.load();
    if (executor.chunk_lot.load() == lot && first < end) named.push_back({first, end - first});
    const std::uint64_t returned_end = executor.returned_end.load();
    const std::uint64_t returned = executor.returned_first.load();
    if (executor.returned_lot.load() == lot && returned < returned_end) {
      named.push_back({returned, returned_end - returned});
    }
  }
  const LotAccount& account = *board_.account_of(lot);
  std::vector<TaskRange> lost;
  const std::uint64_t end = account.lot().first + account.lot().count;
  for (std::uint64_t from = account.lot().first; from < end;) {
    TaskRange run = account.outstanding_run(from, end);
    if (run.count == 0) break;
    const auto inside = std::ranges::find_if(named, [&](const TaskRange& range) {
      return run.first >= range.first && run.first - range.first < range.count;
    });
    if (inside != named.end()) {
      from = std::min(end, inside->first + inside->count);
      continue;
    }
    for (const TaskRange& range : named) {
      if (range.first > run.first) run.count = std::min(run.count, range.first - run.first);
    }
    lost.push_back(run);
    from = run.first + run.count;
  }
  return lost;
}

// Tasks that are claimed, by no executor that lives, and not accounted for were taken to the grave by one that died
// right after its claim, before it had started them: they go back uncharged. Unless one has gone astray, which may have
// ended them and destroyed the record of it: it would do so again and again.
void SharedHost::settle_lost(LotId lot, const std::vector<TaskRange>& lost,
                             const std::optional<task::DeathReport>& blamed, HostListener& listener) {
  for (const TaskRange& run : lost) {
    if (!board_.settle(lot, run.first, run.count)) continue;
    if (!blamed) {
      listener.on_tasks_returned(lot, run.first, run.count);
      continue;
    }
    for (std::uint64_t i = 0; i < run.count; ++i) listener.on_task_died(lot, run.first + i, *blamed);
  }
}

}  // namespace rankpool::host
