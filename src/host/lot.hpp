// What the scheduler hands to a host and what the host reports of it. Plain data, shared by the host, the master's
// engine and the worker ranks' loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <boost/container/small_vector.hpp>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/code_address.hpp>
#include <rankpool/options.hpp>

#include "task/death_report.hpp"

namespace rankpool::host {

using CallId = std::uint64_t;
using LotId = std::uint64_t;

/// Stands for a lot where the initializer runs, which belongs to none.
inline constexpr LotId no_lot = ~LotId{0};

/// A call as every host that works on it needs to know it; sent once per call and host.
struct CallImage {
  CallId id = 0;
  detail::CodeAddress kernel;                              ///< of a detail::Kernel object
  boost::container::small_vector<std::byte, 64> callable;  ///< encoded state of the callable
  std::uint64_t input_stride = 0;                          ///< bytes per encoded task, or detail::variable_stride
  Schedule schedule = Schedule::automatic;
  std::uint64_t chunksize = 0;               ///< 0: automatic
  std::chrono::nanoseconds task_timeout{0};  ///< time one task may take; 0: no limit
  std::uint64_t random_numbers = 0;          ///< those of the pool's call of this number
};

/// @returns what CallImage::task_timeout is for a time above 0; longer than 100 years is no limit.
inline std::chrono::nanoseconds time_limit(const std::optional<Seconds>& time) {
  using namespace std::chrono_literals;
  if (!time || *time > 24h * 365 * 100) return 0ns;
  return std::chrono::ceil<std::chrono::nanoseconds>(*time);
}

/// Encoded tasks in the channel's memory. Fixed stride: `count` × stride bytes at `data`. Variable stride: the tasks'
/// bytes at `data`, and count + 1 offsets relative to `data` at `offsets`.
struct Piece {
  std::uint64_t data = 0;     ///< offset of the first byte in the channel
  std::uint64_t offsets = 0;  ///< offset of the table in the channel; unused for fixed stride
  std::uint64_t first = 0;    ///< index in the call of the piece's first task
  std::uint64_t count = 0;
};

/// A range of one piece to be run on this host.
struct Lot {
  LotId id = 0;
  CallId call = 0;
  Piece piece;
  std::uint64_t first = 0;  ///< index in the call; inside the piece
  std::uint64_t count = 0;
  std::uint32_t attempt = 1;
  std::uint32_t executors = 1;  ///< of the whole pool, for the chunk policy
  std::uint64_t total = 0;      ///< tasks of the call known so far, for the chunk policy
};

/// Where a task ran.
struct Place {
  std::int32_t rank = 0;
  std::int32_t slot = 0;
};

struct RankLoss {
  int rank = -1;
  std::string host;
  int pid = 0;
};

/// An executor's question to the master: what bytes these are is between those two.
struct Question {
  std::uint32_t slot = 0;
  std::uint64_t number = 0;  ///< of the host's questions
  detail::Bytes bytes;
};

/// Of a node's tasks that have been waiting for others for long, through shared objects.
struct Blocked {
  std::uint32_t executors = 0;
  bool all = false;      ///< executors, and there can't be more
  std::string why = {};  ///< if these are fewer than there may be
};

/// Receives what happened on a host; called from Host::poll(), in its thread. Spans live for the call only.
class HostListener {
 public:
  HostListener() = default;
  HostListener(const HostListener&) = delete;
  HostListener& operator=(const HostListener&) = delete;
  virtual ~HostListener() = default;

  /// Tasks [first, first + count) of the lot ended with results; `nanoseconds` is executor time they took.
  virtual void on_results(LotId lot, std::uint64_t first, std::uint64_t count, std::int64_t nanoseconds,
                          detail::Bytes encoded) = 0;
  /// A task threw: `image` is what task/exception_image.hpp makes of it.
  virtual void on_task_failed(LotId lot, std::uint64_t task, std::int64_t nanoseconds, Place place,
                              detail::Bytes image) = 0;
  /// The executor died while it ran this task; the report tells whether it was killed for the task's time.
  virtual void on_task_died(LotId lot, std::uint64_t task, const task::DeathReport& report) = 0;
  /// Tasks of the lot that nobody has started, given back.
  virtual void on_tasks_returned(LotId lot, std::uint64_t first, std::uint64_t count) = 0;
  /// The retraction asked for has been carried out (what it returned came before this).
  virtual void on_retracted(LotId lot) = 0;
  /// The initializer threw; the pool can't serve. The image as in on_task_failed.
  virtual void on_initializer_failed(Place place, detail::Bytes image) = 0;
  /// Executors that serve or soon will. Told when that changes: fewer than planned where some can't be started, with
  /// the reason for the user; and again when they can.
  virtual void on_executors(std::uint32_t count, const std::string& why) = 0;
  /// A rank that shares the node was killed, and its executors with it; `executors` are left.
  virtual void on_rank_lost(const RankLoss& loss, std::uint32_t executors) = 0;
  /// To be answered by Host::answer(), now or later, unless the executor's end is told before.
  virtual void on_question(const Question& question) = 0;
  /// The slot's executor is dead; the next one has not been started.
  virtual void on_executor_gone(std::uint32_t slot) = 0;
  /// Told when that changes.
  virtual void on_blocked(const Blocked& blocked) = 0;
  /// Those who wait for shared objects elsewhere than in the host's executors are to look.
  virtual void on_far_rung() = 0;
  /// No executor can serve any more: `reason` is for the user.
  virtual void on_broken(const std::string& reason) = 0;
};

}  // namespace rankpool::host
