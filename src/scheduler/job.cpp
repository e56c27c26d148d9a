#include "scheduler/job.hpp"

#include <algorithm>

namespace rankpool::scheduler {

void PendingQueue::push_back(const PendingRange& range) {
  if (head_ == fresh_.size()) {
    fresh_.clear();
    head_ = 0;
  } else if (head_ >= 64 && head_ * 2 > fresh_.size()) {  // an endless input must not grow the vector for ever
    fresh_.erase(fresh_.begin(), fresh_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  fresh_.push_back(range);
  tasks_ += range.tasks.count;
}

void PendingQueue::push_front(const PendingRange& range) {
  returned_.push_back(range);
  tasks_ += range.tasks.count;
}

void PendingQueue::take_front(std::uint64_t count) {
  PendingRange& range = returned_.empty() ? fresh_[head_] : returned_.back();
  range.tasks.first += count;
  range.tasks.count -= count;
  tasks_ -= count;
  if (range.tasks.count > 0) return;
  if (returned_.empty()) {
    ++head_;
  } else {
    returned_.pop_back();
  }
}

void PendingQueue::clear() {
  returned_.clear();
  fresh_.clear();
  head_ = 0;
  tasks_ = 0;
}

void TaskTime::record(std::uint64_t tasks, Nanoseconds busy) {
  constexpr std::uint32_t memory = 4096;  // reports after which the older ones weigh half: follows a drift
  if (++reports_ == memory) {
    reports_ = 0;
    busy_ /= 2;
    tasks_ /= 2;
  }
  busy_ += static_cast<double>(std::max<Nanoseconds>(busy, 1));
  tasks_ += static_cast<double>(tasks);
}

std::uint64_t Job::known_total() const { return std::max(options.total.value_or(0), drawn); }

std::uint64_t Job::remaining() const { return pending.tasks() + (state == JobState::open ? known_total() - drawn : 0); }

}  // namespace rankpool::scheduler
