/// @file
/// What the scheduler decides: dealing pending tasks, and retracting when there are none.

#include "scheduler/scheduler.hpp"

namespace rankpool::scheduler {

std::optional<Command> Scheduler::next() {
  sort_changed_hosts();
  if (decided_.empty()) {
    if (auto lot = deal()) return lot;
    if (!racing_.empty()) {
      if (auto copy = copy_late()) return copy;
    }
    retract_for_dry_hosts();
  }
  if (decided_.empty()) return std::nullopt;
  const Command command = decided_.front();
  decided_.pop_front();
  return command;
}

std::optional<Command> Scheduler::deal() {
  Host* const host = needy_.top();
  if (host == nullptr) return std::nullopt;
  Job* const job = job_for(*host);
  if (job == nullptr) return std::nullopt;
  return hand_out(*job, *host);
}

/// The job whose turn it is. A host that has all it wants still takes a lot of a job that has none open anywhere, so
/// that a small job never waits for a long one's backlog, and one-task jobs fill hosts up to their limit of lots.
Job* Scheduler::job_for(const Host& host) const {
  return host.need() < Host::need_limit ? ready_.front() : unserved_.front();
}

RunLot Scheduler::hand_out(Job& job, Host& host) {
  const LotSize size = size_lot(job, host, pool_);
  PendingRange range = job.pending.front();
  range.tasks.count = size.tasks;
  job.pending.take_front(size.tasks);
  const Lot& lot = open_lot(job, host, range, size.chunk);
  ready_.erase(job);  // to the end: the other jobs' turn
  update(job);
  return {.host = host.id, .lot = lot.id, .job = job.id, .tasks = range.tasks, .attempt = range.attempt};
}

Lot& Scheduler::open_lot(Job& job, Host& host, const PendingRange& range, std::uint64_t chunk) {
  Lot& lot = lots_.open();
  lot.job = &job;
  lot.host = &host;
  lot.piece_first = range.piece_first;
  lot.attempt = range.attempt;
  lot.chunk = chunk;
  lot.task_time = job.task_time.measured() ? job.task_time.mean() : 0;
  lot.outstanding.assign(range.tasks);
  if (job.options.speculative) enter_race(lot);
  job.lots.push_back(lot);
  host.lots.push_back(lot);
  host.add(lot);
  changed_.push_back(host);
  return lot;
}

void Scheduler::retract_for_dry_hosts() {
  if (!ready_.empty()) return;
  const Host* const most_loaded = loaded_.top();
  if (most_loaded == nullptr) return;
  if (Host* const thief = idle_.front()) {  // whatever moves there starts sooner than where it is
    retract_for(*thief);
  } else if (dry_.front() != nullptr && most_loaded->excess() >= Host::far_behind) {
    retract_for(*dry_.front());
  }
}

/// Takes back the most loaded host's newest lot, the one it would begin last.
void Scheduler::retract_for(Host& thief) {
  Host& victim = *loaded_.top();
  Lot* lot = victim.lots.back();
  while (lot != nullptr && lot->retraction != Retraction::none) lot = victim.lots.previous(*lot);
  if (lot != nullptr) ask_back(*lot, &thief);
}

}  // namespace rankpool::scheduler
