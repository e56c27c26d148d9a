/// @file
/// A job: one call's tasks, those not handed out, and the measured time of those that ran.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <boost/container/small_vector.hpp>

#include "scheduler/commands.hpp"
#include "scheduler/intrusive.hpp"
#include "scheduler/lot.hpp"

namespace rankpool::scheduler {

/// Tasks to hand out; never more than one piece's, all in the same attempt.
struct PendingRange {
  TaskRange tasks;
  std::uint64_t piece_first = 0;  ///< chunks are counted from here
  std::uint32_t attempt = 1;
};

/// Pending tasks in the order in which they go out: what came back, then the input.
class PendingQueue {
 public:
  void push_back(const PendingRange& range);
  void push_front(const PendingRange& range);
  [[nodiscard]] const PendingRange& front() const { return returned_.empty() ? fresh_[head_] : returned_.back(); }
  void take_front(std::uint64_t count);
  void clear();
  [[nodiscard]] bool empty() const { return tasks_ == 0; }
  [[nodiscard]] std::uint64_t tasks() const { return tasks_; }

 private:
  std::vector<PendingRange> returned_;                     ///< a stack
  boost::container::small_vector<PendingRange, 2> fresh_;  ///< a queue from head_
  std::size_t head_ = 0;
  std::uint64_t tasks_ = 0;
};

/// Mean time of a task, recent ones weighing more.
class TaskTime {
 public:
  void record(std::uint64_t tasks, Nanoseconds busy);
  [[nodiscard]] bool measured() const { return tasks_ > 0; }
  [[nodiscard]] double mean() const { return busy_ / tasks_; }

 private:
  double busy_ = 0;
  double tasks_ = 0;
  std::uint32_t reports_ = 0;
};

enum class JobState : std::uint8_t {
  open,  ///< more tasks may come
  input_ended,
  held,       ///< nothing starts, and what has not is asked back, until it is cancelled or goes on
  cancelled,  ///< nothing starts any more; waits for what is in flight
};

struct Job {
  JobId id = 0;
  JobOptions options;
  JobState state = JobState::open;
  std::uint64_t drawn = 0;  ///< tasks added so far; the next piece begins here
  PendingQueue pending;
  TaskTime task_time;
  IntrusiveList<Lot, &Lot::in_job> lots;
  ListLinks<Job> in_ready;
  ListLinks<Job> in_unserved;
  ListLinks<Job> in_racing;

  /// Tasks of the job as far as is known.
  [[nodiscard]] std::uint64_t known_total() const;
  /// Tasks not handed out, drawn or not.
  [[nodiscard]] std::uint64_t remaining() const;
  /// Nothing is left to hand out, so that what is late may run elsewhere, too.
  [[nodiscard]] bool may_race() const {
    return options.speculative && (state == JobState::open || state == JobState::input_ended) && pending.empty() &&
           !lots.empty();
  }
  [[nodiscard]] bool finished() const { return state != JobState::open && pending.empty() && lots.empty(); }
};

}  // namespace rankpool::scheduler
