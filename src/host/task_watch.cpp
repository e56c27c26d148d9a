#include "host/task_watch.hpp"

#include <algorithm>

namespace rankpool::host {
namespace {

using namespace std::chrono_literals;

// Between two looks at the executors: what a limit may be exceeded by, against what looking costs.
constexpr std::chrono::nanoseconds longest_interval = 100ms;
constexpr std::chrono::nanoseconds shortest_interval = 1ms;
constexpr int looks_per_limit = 4;

}  // namespace

void TaskWatch::open_call(CallId call, std::chrono::nanoseconds limit) {
  limits_.emplace(call, limit);
  const auto now = Clock::now();
  plan_round(now + std::min(until_next_round(now), interval()));
}

void TaskWatch::close_call(CallId call) {
  if (limits_.erase(call) != 0 && limits_.empty()) plan_round(Clock::time_point::max());
}

std::optional<std::chrono::nanoseconds> TaskWatch::limit(CallId call) const {
  const auto found = limits_.find(call);
  return found == limits_.end() ? std::nullopt : std::optional(found->second);
}

bool TaskWatch::start_round(Clock::time_point now) {
  if (until_next_round(now) > 0ns) return false;
  plan_round(now + interval());
  return true;
}

std::chrono::nanoseconds TaskWatch::interval() const {
  auto interval = longest_interval;
  for (const auto& [call, limit] : limits_) interval = std::min(interval, limit / looks_per_limit);
  return std::max(interval, shortest_interval);
}

bool TaskWatch::exceeds(std::uint32_t executor, Progress progress, std::chrono::nanoseconds limit,
                        Clock::time_point now) {
  auto& seen = seen_[executor];
  if (!seen || seen->progress != progress) seen = Seen{progress, now};
  const auto left = limit - (now - seen->since);
  if (left < 0ns) return true;
  // The moment itself, if it comes before the next regular look.
  if (left < until_next_round(now)) plan_round(now + std::max<std::chrono::nanoseconds>(left, 1us));
  return false;
}

std::chrono::nanoseconds TaskWatch::until_next_round(Clock::time_point now) const {
  const Clock::rep next = next_round_.load();
  return std::chrono::nanoseconds(next - std::min(next, now.time_since_epoch().count()));
}

}  // namespace rankpool::host
