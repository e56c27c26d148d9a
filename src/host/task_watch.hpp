// The leader's watch on tasks whose time is limited: where each executor was seen last, and since when it is there.
//
// Executors publish nothing for it. Their outboxes tell when a task ends, so a task's time counts from when the leader
// first sees it: it is never cut short, and may last up to one look longer than its limit.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "host/channel.hpp"
#include "host/lot.hpp"

namespace rankpool::host {

class TaskWatch {
 public:
  using Clock = std::chrono::steady_clock;

  explicit TaskWatch(std::size_t executors) : seen_(executors) {}

  /// Watches the call's tasks from now on.
  void open_call(CallId call, std::chrono::nanoseconds limit);
  void close_call(CallId call);
  [[nodiscard]] bool active() const { return !limits_.empty(); }
  /// @returns the time a task of the call may take; empty: any.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> limit(CallId call) const;

  /// Begins a round of looks. @returns false when it is too early for one.
  bool start_round(Clock::time_point now);
  /// The executor runs a task of a call with `limit`.
  /// @returns whether the task has been seen for longer than that.
  bool exceeds(std::uint32_t executor, Progress progress, std::chrono::nanoseconds limit, Clock::time_point now);
  /// The executor runs nothing whose time counts.
  void pass_over(std::uint32_t executor) { seen_[executor].reset(); }

  /// @returns the time until the next round is due. From any thread.
  [[nodiscard]] std::chrono::nanoseconds until_next_round(Clock::time_point now) const;

 private:
  struct Seen {
    Progress progress;
    Clock::time_point since;
  };

  [[nodiscard]] std::chrono::nanoseconds interval() const;
  void plan_round(Clock::time_point at) { next_round_.store(at.time_since_epoch().count()); }

  std::unordered_map<CallId, std::chrono::nanoseconds> limits_;
  std::vector<std::optional<Seen>> seen_;
  std::atomic<Clock::rep> next_round_ = Clock::time_point::max().time_since_epoch().count();
};

}  // namespace rankpool::host
