#include "scheduler/scheduler.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace rankpool::scheduler {
Job* Scheduler::find_job(JobId id) {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

Host* Scheduler::find_host(HostId id) {
  const auto found = hosts_.find(id);
  return found == hosts_.end() ? nullptr : &found->second;
}

// ----------------------------------------------------------------------------------------------------------------
// hosts

void Scheduler::add_host(HostId id, std::uint32_t executors) {
  const auto [place, added] = hosts_.try_emplace(id);
  if (!added) throw std::logic_error("rankpool: a host was added twice");
  place->second.id = id;
  resize(place->second, executors);
}

void Scheduler::set_executors(HostId id, std::uint32_t executors) {
  if (Host* const host = find_host(id)) resize(*host, executors);
}

void Scheduler::resize(Host& host, std::uint32_t executors) {
  pool_.hosts += (executors > 0 ? 1U : 0U) - (host.executors > 0 ? 1U : 0U);
  pool_.executors += executors;
  pool_.executors -= host.executors;
  host.executors = executors;
  changed_.push_back(host);
}

void Scheduler::lose_host(HostId id, Unreported tasks) {
  Host* const host = find_host(id);
  if (host == nullptr) return;
  resize(*host, 0);
  if (host->awaited != nullptr) host->awaited->thief = nullptr;
  // Newest first, each requeued in front: afterwards the oldest tasks come first.
  while (Lot* const lot = host->lots.back()) {
    const auto& runs = lot->outstanding.runs();
    std::for_each(runs.rbegin(), runs.rend(), [&](TaskRange run) {
      if (tasks == Unreported::may_have_run) {
        charge(*lot, run);
        allow_another_copy(*lot, run);
      } else {
        give_back(*lot, run);
      }
    });
    close(*lot);
  }
  changed_.erase(*host);
  needy_.erase(*host);
  loaded_.erase(*host);
  idle_.erase(*host);
  dry_.erase(*host);
  hungry_.erase(*host);
  hosts_.erase(id);
}

/// Puts the hosts that have changed where their load belongs.
void Scheduler::sort_changed_hosts() {
  while (Host* const host = changed_.front()) {
    changed_.erase(*host);
    sort_in(*host);
  }
}

void Scheduler::sort_in(Host& host) {
  if (host.has_room()) {
    needy_.set(host, host.need());
  } else {
    needy_.erase(host);
  }
  if (host.movable_chunks() > 0) {
    loaded_.set(host, std::numeric_limits<std::uint64_t>::max() - host.excess());
  } else {
    loaded_.erase(host);
  }
  const bool can_ask = host.executors > 0 && host.awaited == nullptr;
  idle_.keep(host, can_ask && host.has_idle_executor());
  dry_.keep(host, can_ask && host.chunks == host.executors);
  hungry_.keep(host, host.is_hungry());
}

// -----------------------------------------------------------------------------------------------------------------
// jobs

void Scheduler::open_job(JobId id, const JobOptions& options) {
  const auto [place, added] = jobs_.try_emplace(id);
  if (!added) throw std::logic_error("rankpool: a job was opened twice");
  place->second.id = id;
  place->second.options = options;
  if (options.speculative) ++speculative_jobs_;
}

/// @returns the job, whose input now reaches to the piece's end; null when nothing of it is to start any more.
Job* Scheduler::draw(JobId id, TaskRange piece) {
  Job* const job = find_job(id);
  if (job == nullptr || job->state == JobState::cancelled || piece.count == 0) return nullptr;
  if (job->state != JobState::open) throw std::logic_error("rankpool: tasks after the end of a job's input");
  if (piece.first > std::numeric_limits<std::uint64_t>::max() - piece.count || piece.first != job->drawn) {
    throw std::logic_error("rankpool: a piece out of order");
  }
  job->drawn = piece.end();
  return job;
}

void Scheduler::skip_tasks(JobId id, TaskRange tasks) { draw(id, tasks); }

void Scheduler::add_tasks(JobId id, TaskRange piece) {
  Job* const job = draw(id, piece);
  if (job == nullptr) return;
  job->pending.push_back({.tasks = piece, .piece_first = piece.first, .attempt = 1});
  update(*job);
}

void Scheduler::end_input(JobId id) {
  Job* const job = find_job(id);
  if (job == nullptr || job->state != JobState::open) return;
  job->state = JobState::input_ended;
  finish_if_done(*job);
}

void Scheduler::cancel_job(JobId id) {
  Job* const job = find_job(id);
  if (job == nullptr || job->state == JobState::cancelled) return;
  job->state = JobState::cancelled;
  job->pending.clear();
  update(*job);
  for (Lot* lot = job->lots.front(); lot != nullptr; lot = job->lots.next(*lot)) {
    if (lot->retraction == Retraction::none) ask_back(*lot, nullptr);
  }
  finish_if_done(*job);
}

void Scheduler::hold_job(JobId id) {
  Job* const job = find_job(id);
  if (job == nullptr || job->state != JobState::input_ended) return;
  job->state = JobState::held;
  update(*job);
  for (Lot* lot = job->lots.front(); lot != nullptr; lot = job->lots.next(*lot)) {
    if (lot->retraction == Retraction::none) ask_back(*lot, nullptr);
  }
}

void Scheduler::resume_job(JobId id) {
  Job* const job = find_job(id);
  if (job == nullptr || job->state != JobState::held) return;
  job->state = JobState::input_ended;
  update(*job);
}

/// Puts the job on the lists it belongs on; to be called after each change.
void Scheduler::update(Job& job) {
  const bool ready = !job.pending.empty() && job.state != JobState::held;
  ready_.keep(job, ready);
  unserved_.keep(job, ready && job.lots.empty());
  if (job.options.speculative) racing_.keep(job, job.may_race());
}

/// @returns whether the job is no more.
bool Scheduler::finish_if_done(Job& job) {
  if (!job.finished()) return false;
  decided_.emplace_back(JobDone{.job = job.id});
  if (job.options.speculative) {
    racing_.erase(job);
    --speculative_jobs_;
  }
  jobs_.erase(JobId{job.id});
  return true;
}

void Scheduler::requeue(Job& job, const PendingRange& range) {
  if (job.state == JobState::cancelled) return;
  job.pending.push_front(range);
  update(job);
}

std::optional<Nanoseconds> Scheduler::task_time(JobId id) const {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || !found->second.task_time.measured()) return std::nullopt;
  return static_cast<Nanoseconds>(found->second.task_time.mean());
}

std::uint64_t Scheduler::pending_tasks(JobId id) const {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? 0 : found->second.pending.tasks();
}

// --------------------------------------------------------------------------------------------------------------
// reports

bool Scheduler::tasks_done(HostId host, LotId lot_id, TaskRange tasks, Nanoseconds busy) {
  Lot* const lot = lots_.find(lot_id, host);
  if (lot == nullptr || !take(*lot, tasks)) return false;
  TaskTime& time = lot->job->task_time;
  time.record(tasks.count, busy);
  if (lot->task_time == 0) {
    lot->task_time = time.mean();
    lot->host->work += lot->work();
  }
  lot->host->record_speed(static_cast<double>(busy) / static_cast<double>(tasks.count) / time.mean());
  if (lot->race) win(*lot, tasks);
  close_if_settled(*lot);
  return true;
}

bool Scheduler::task_died(HostId host, LotId lot_id, std::uint64_t task) {
  Lot* const lot = lots_.find(lot_id, host);
  if (lot == nullptr || !take(*lot, {.first = task, .count = 1})) return false;
  charge(*lot, {.first = task, .count = 1});
  if (lot->race) forbid_copies(*lot, {.first = task, .count = 1});
  close_if_settled(*lot);
  return true;
}

bool Scheduler::tasks_returned(HostId host, LotId lot_id, TaskRange tasks) {
  Lot* const lot = lots_.find(lot_id, host);
  if (lot == nullptr) return false;
  if (tasks.count > 0) {
    if (!take(*lot, tasks)) return false;
    give_back(*lot, tasks);
  }
  settle_retraction(*lot);
  close_if_settled(*lot);
  return true;
}

// -----------------------------------------------------------------------------------------------------------------
// lots

bool Scheduler::take(Lot& lot, TaskRange tasks) {
  Host& host = *lot.host;
  host.discount(lot);
  const bool taken = lot.outstanding.take(tasks);
  host.count(lot);
  if (!taken) return false;
  host.work -= static_cast<double>(tasks.count) * lot.task_time;
  changed_.push_back(host);
  return true;
}

/// Charges an attempt to tasks that left the lot, or leave it with its host.
void Scheduler::charge(Lot& lot, TaskRange tasks) {
  Job& job = *lot.job;
  for (const TaskRange& alone : alone_in(lot, tasks)) {
    if (job.state == JobState::cancelled) continue;
    if (lot.attempt < job.options.max_attempts) {
      requeue(job, {.tasks = alone, .piece_first = lot.piece_first, .attempt = lot.attempt + 1});
      continue;
    }
    for (std::uint64_t task = alone.first; task != alone.end(); ++task) {
      decided_.emplace_back(
          GiveUp{.job = job.id, .task = task, .attempts = lot.attempt, .lot = lot.id, .host = lot.host->id});
    }
  }
  leave_race(lot, tasks);
}

/// The same without an attempt: nobody has begun them.
void Scheduler::give_back(Lot& lot, TaskRange tasks) {
  for (const TaskRange& alone : alone_in(lot, tasks)) {
    requeue(*lot.job, {.tasks = alone, .piece_first = lot.piece_first, .attempt = lot.attempt});
  }
  leave_race(lot, tasks);
  allow_another_copy(lot, tasks);
}

void Scheduler::close_if_settled(Lot& lot) {
  if (lot.outstanding.count() == 0) close(lot);
}

void Scheduler::close(Lot& lot) {
  Host& host = *lot.host;
  Job& job = *lot.job;
  if (lot.race) end_race(lot);
  settle_retraction(lot);
  host.remove(lot);
  host.lots.erase(lot);
  job.lots.erase(lot);
  lots_.close(lot);
  changed_.push_back(host);
  if (!finish_if_done(job)) update(job);
}

void Scheduler::ask_back(Lot& lot, Host* thief) {
  mark(lot, Retraction::asked);
  lot.thief = thief;
  if (thief != nullptr) {
    thief->awaited = &lot;
    changed_.push_back(*thief);
  }
  decided_.emplace_back(RetractLot{.host = lot.host->id, .lot = lot.id});
}

/// The lot's host has answered, or the lot ends: its thief may look elsewhere.
void Scheduler::settle_retraction(Lot& lot) {
  if (lot.retraction != Retraction::asked) return;
  mark(lot, Retraction::answered);
  if (lot.thief == nullptr) return;
  Host& thief = *lot.thief;
  lot.thief = nullptr;
  thief.awaited = nullptr;
  changed_.push_back(thief);
}

void Scheduler::mark(Lot& lot, Retraction state) {
  lot.host->discount(lot);
  lot.retraction = state;
  lot.host->count(lot);
  changed_.push_back(*lot.host);
}

}  // namespace rankpool::scheduler
