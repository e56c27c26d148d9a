/// @file
/// A lot: tasks handed to a host, and which of them it still owes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "scheduler/commands.hpp"
#include "scheduler/intrusive.hpp"

namespace rankpool::scheduler {

struct Host;
struct Job;
struct Lot;

/// The outstanding tasks of a lot as sorted, disjoint runs. Executors claim from the front, so there are hardly more
/// runs than executors, and a lot of a billion tasks costs no more than one of ten.
class RunSet {
 public:
  void assign(TaskRange all);
  void clear() { runs_.clear(), count_ = 0; }

  /// Takes `range` out; refused (false, no change) unless every task of it is there.
  bool take(TaskRange range);
  /// @param range of which no task is there.
  void add(TaskRange range);
  /// Takes out what is there of `range`.
  void remove(TaskRange range);

  /// What is there of `range`.
  [[nodiscard]] std::vector<TaskRange> part_of(TaskRange range) const;
  /// What isn't.
  [[nodiscard]] std::vector<TaskRange> missing_of(TaskRange range) const;

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] const std::vector<TaskRange>& runs() const { return runs_; }

 private:
  std::vector<TaskRange> runs_;
  std::uint64_t count_ = 0;
};

/// A host hands out all it has not started when asked, so asking a second time cannot help.
enum class Retraction : std::uint8_t { none, asked, answered };

/// Of a speculative job's lot: whether it is late, and which lots run the same tasks. The first result of a task
/// counts.
struct Race {
  Nanoseconds since = 0;     ///< when it was handed out
  double ahead = 0;          ///< nanoseconds of work that the host's executors had then
  std::uint64_t chunks = 0;  ///< that it began with, and those ahead of it of which nothing was measured
  bool is_copy = false;
  std::vector<Lot*> rivals = {};  ///< open lots that have some of its tasks
  RunSet copied = {};             ///< of its outstanding tasks: those that a rival was given, which is a copy
  RunSet lost = {};               ///< of its outstanding tasks: those whose results came from a rival
};

struct Lot {
  LotId id = 0;
  Job* job = nullptr;
  Host* host = nullptr;  ///< null while the slot is free
  std::uint64_t piece_first = 0;
  std::uint32_t attempt = 1;
  Retraction retraction = Retraction::none;
  Host* thief = nullptr;    ///< the host that ran dry, for which the lot was retracted
  std::uint64_t chunk = 1;  ///< estimate of what its executors claim at a time
  double task_time = 0;     ///< nanoseconds, as measured when the lot was handed out; 0 unmeasured
  RunSet outstanding;
  std::unique_ptr<Race> race = {};  ///< null unless the job is speculative
  ListLinks<Lot> in_host;
  ListLinks<Lot> in_job;

  [[nodiscard]] std::uint64_t chunks() const { return detail::ceil_div(outstanding.count(), chunk); }
  /// Nanoseconds of one executor.
  [[nodiscard]] double work() const { return static_cast<double>(outstanding.count()) * task_time; }
};

/// The open lots by id. An id is a slot number and the slot's generation, so a look-up is an index and a comparison.
class LotTable {
 public:
  Lot& open();
  void close(Lot& lot);
  [[nodiscard]] Lot* find(LotId id, HostId host);

 private:
  static constexpr unsigned slot_bits = 28;
  static constexpr LotId slot_mask = (LotId{1} << slot_bits) - 1;
  static constexpr LotId one_generation = LotId{1} << slot_bits;

  std::deque<Lot> slots_;
  std::vector<Lot*> free_;
};

}  // namespace rankpool::scheduler
