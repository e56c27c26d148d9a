#include "scheduler/lot.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "scheduler/host.hpp"

namespace rankpool::scheduler {

void RunSet::assign(TaskRange all) {
  runs_.assign(1, all);
  count_ = all.count;
}

bool RunSet::take(TaskRange range) {
  if (range.count == 0 || range.count > count_) return false;
  if (range.first > std::numeric_limits<std::uint64_t>::max() - range.count) return false;
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), range.first,
                                      [](std::uint64_t task, const TaskRange& run) { return task < run.first; });
  if (after == runs_.begin()) return false;
  const auto run = after - 1;
  if (range.end() > run->end()) return false;
  const TaskRange rest{range.end(), run->end() - range.end()};
  run->count = range.first - run->first;
  if (run->count == 0 && rest.count == 0) {
    runs_.erase(run);
  } else if (run->count == 0) {
    *run = rest;
  } else if (rest.count > 0) {
    runs_.insert(after, rest);
  }
  count_ -= range.count;
  return true;
}

void RunSet::add(TaskRange range) {
  if (range.count == 0) return;
  count_ += range.count;
  const auto after = std::ranges::upper_bound(runs_, range.first, {}, &TaskRange::first);
  const bool joins_after = after != runs_.end() && range.end() == after->first;
  if (after != runs_.begin() && (after - 1)->end() == range.first) {
    (after - 1)->count += range.count + (joins_after ? after->count : 0);
    if (joins_after) runs_.erase(after);
  } else if (joins_after) {
    *after = {range.first, range.count + after->count};
  } else {
    runs_.insert(after, range);
  }
}

void RunSet::remove(TaskRange range) {
  for (const TaskRange& part : part_of(range)) take(part);
}

std::vector<TaskRange> RunSet::part_of(TaskRange range) const {
  std::vector<TaskRange> parts;
  for (const TaskRange& run : runs_) {
    const std::uint64_t first = std::max(run.first, range.first);
    const std::uint64_t end = std::min(run.end(), range.end());
    if (first < end) parts.push_back({first, end - first});
  }
  return parts;
}

std::vector<TaskRange> RunSet::missing_of(TaskRange range) const {
  std::vector<TaskRange> parts;
  for (const TaskRange& there : part_of(range)) {
    if (range.first < there.first) parts.push_back({range.first, there.first - range.first});
    range = {there.end(), range.end() - there.end()};
  }
  if (range.count > 0) parts.push_back(range);
  return parts;
}

Lot& LotTable::open() {
  if (free_.empty()) {
    if (slots_.size() > slot_mask) throw std::length_error("rankpool: too many open lots");
    Lot& lot = slots_.emplace_back();
    lot.id = slots_.size() - 1;
    return lot;
  }
  Lot& lot = *free_.back();
  free_.pop_back();
  return lot;
}

void LotTable::close(Lot& lot) {
  lot.host = nullptr;
  lot.job = nullptr;
  lot.thief = nullptr;
  lot.retraction = Retraction::none;
  lot.outstanding.clear();
  lot.race.reset();
  const LotId next_id = lot.id + one_generation;
  const bool used_up = next_id < lot.id;  // a slot without generations left is retired: ids must never come again
  lot.id = next_id;
  if (!used_up) free_.push_back(&lot);
}

Lot* LotTable::find(LotId id, HostId host) {
  const LotId slot = id & slot_mask;
  if (slot >= slots_.size()) return nullptr;
  Lot& lot = slots_[slot];
  return lot.host != nullptr && lot.id == id && lot.host->id == host ? &lot : nullptr;
}

}  // namespace rankpool::scheduler
