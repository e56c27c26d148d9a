/// @file
/// Speculation: where nothing is left to hand out, what is late runs on an idle executor, too.
///
///   late lot ──copy_late──► RunLot (is_copy) on a host with an idle executor
///      └──── rivals ───────────┘       the first result of a task counts: the other lot has lost it
///
/// A lot that has lost a task owes it all the same, until its host has reported it: an executor works on it. A task
/// that dies or comes back is dropped as long as a rival has it.
#include <algorithm>
#include <iterator>
#include <memory>

#include "scheduler/scheduler.hpp"

namespace rankpool::scheduler {
namespace {

/// Less is not worth it: about a time slice of a busy machine.
constexpr double least_delay = 20e6;
/// A lot is late after so many times what it should have taken.
constexpr double patience = 2;

/// What is left of `ranges` without those in `set`.
std::vector<TaskRange> without(const std::vector<TaskRange>& ranges, const RunSet& set) {
  std::vector<TaskRange> left;
  for (const TaskRange& range : ranges) std::ranges::copy(set.missing_of(range), std::back_inserter(left));
  return left;
}

}  // namespace

void Scheduler::enter_race(Lot& lot) {
  lot.race = std::make_unique<Race>();
  lot.race->since = now_;
  lot.race->ahead = lot.host->backlog();
  // Of lots that nothing was measured of no work is known.
  lot.race->chunks = lot.chunks() + (lot.task_time == 0 ? lot.host->chunks : 0);
}

/// As far as the job's tasks were measured, on all hosts: slow ones are late.
bool Scheduler::is_late(const Lot& lot) const {
  const TaskTime& time = lot.job->task_time;
  if (!time.measured()) return false;
  const std::uint64_t rounds = detail::ceil_div(lot.race->chunks, std::max(lot.host->executors, 1U));
  const double expected = lot.race->ahead + static_cast<double>(rounds * lot.chunk) * time.mean();
  return static_cast<double>(now_ - lot.race->since) > patience * expected + least_delay;
}

/// A host with an executor that has nothing to do, one that has none of the lot's tasks if there is one: of those that
/// have some all may stand still.
Host* Scheduler::idle_host(const Lot& late) {
  Host* found = nullptr;
  for (auto& [id, host] : hosts_) {
    if (!host.has_idle_executor()) continue;
    found = &host;
    const auto is_there = [found](const Lot* lot) { return lot->host == found; };
    if (!is_there(&late) && std::ranges::none_of(late.race->rivals, is_there)) break;
  }
  return found;
}

std::optional<Command> Scheduler::copy_late() {
  for (Job* job = racing_.front(); job != nullptr; job = racing_.next(*job)) {
    for (Lot* lot = job->lots.front(); lot != nullptr; lot = job->lots.next(*lot)) {
      if (!is_late(*lot)) continue;
      const std::vector<TaskRange> wanted =
          without(without(lot->outstanding.runs(), lot->race->copied), lot->race->lost);
      if (wanted.empty()) continue;
      Host* const host = idle_host(*lot);
      if (host == nullptr) return std::nullopt;
      return copy(*lot, wanted.front(), *host);
    }
  }
  return std::nullopt;
}

RunLot Scheduler::copy(Lot& late, TaskRange tasks, Host& host) {
  // Half of it at least: the rest is for others that are idle.
  const std::uint64_t idle = host.executors - host.chunks;
  tasks.count = std::min(tasks.count, std::max(idle * late.chunk, detail::ceil_div(tasks.count, 2)));
  Lot& lot =
      open_lot(*late.job, host, {.tasks = tasks, .piece_first = late.piece_first, .attempt = late.attempt}, late.chunk);
  lot.race->is_copy = true;
  lot.race->ahead = static_cast<double>(now_ - late.race->since);  // of copies of copies there are few
  lot.race->rivals = late.race->rivals;
  lot.race->rivals.push_back(&late);
  for (Lot* const rival : lot.race->rivals) rival->race->rivals.push_back(&lot);
  late.race->copied.add(tasks);
  return {.host = host.id, .lot = lot.id, .job = late.job->id, .tasks = tasks, .attempt = lot.attempt, .is_copy = true};
}

/// Tasks have left the lot with results: those that are the first ones count.
void Scheduler::win(Lot& lot, TaskRange tasks) {
  const std::vector<TaskRange> won = lot.race->lost.missing_of(tasks);
  leave_race(lot, tasks);
  for (const TaskRange& range : won) {
    for (Lot* const rival : lot.race->rivals) {
      for (const TaskRange& lost : rival->outstanding.part_of(range)) rival->race->lost.add(lost);
    }
  }
}

/// Tasks that leave the lot without results: which of them nobody else has.
std::vector<TaskRange> Scheduler::alone_in(const Lot& lot, TaskRange tasks) {
  if (!lot.race) return {tasks};
  std::vector<TaskRange> left = lot.race->lost.missing_of(tasks);
  for (const Lot* const rival : lot.race->rivals) left = without(left, rival->outstanding);
  return left;
}

void Scheduler::leave_race(Lot& lot, TaskRange tasks) {
  if (!lot.race) return;
  lot.race->lost.remove(tasks);
  lot.race->copied.remove(tasks);
}

/// Tasks have died, and may kill more executors.
void Scheduler::forbid_copies(const Lot& lot, TaskRange tasks) {
  for (Lot* const rival : lot.race->rivals) {
    for (const TaskRange& part : without(rival->outstanding.part_of(tasks), rival->race->copied)) {
      rival->race->copied.add(part);
    }
  }
}

/// Tasks of a copy have come back, or were lost with its host: another one may be made.
void Scheduler::allow_another_copy(const Lot& copy, TaskRange tasks) {
  if (!copy.race || !copy.race->is_copy) return;
  for (Lot* const late : copy.race->rivals) late->race->copied.remove(tasks);
}

void Scheduler::end_race(Lot& lot) {
  for (Lot* const rival : lot.race->rivals) std::erase(rival->race->rivals, &lot);
}

std::vector<TaskRange> Scheduler::unsettled(HostId host, LotId lot_id, TaskRange tasks) {
  const Lot* const lot = lots_.find(lot_id, host);
  if (lot == nullptr) return {};
  return lot->race ? lot->race->lost.missing_of(tasks) : std::vector{tasks};
}

std::vector<TaskRange> Scheduler::forsaken(HostId host, LotId lot_id, TaskRange tasks) {
  const Lot* const lot = lots_.find(lot_id, host);
  return lot == nullptr ? std::vector<TaskRange>{} : alone_in(*lot, tasks);
}

}  // namespace rankpool::scheduler
