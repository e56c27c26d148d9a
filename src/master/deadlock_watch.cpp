#include "master/deadlock_watch.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace rankpool::master {
namespace {

// A longer list is of no use to anybody.
constexpr std::size_t most_described = 8;

}  // namespace

bool DeadlockWatch::is_due(Clock::time_point now) {
  if (now < due_) return false;
  pause_ = std::min(pause_ + pause_ / 4, longest_pause);
  due_ = now + pause_;
  return true;
}

std::vector<DeadlockWatch::Wait> DeadlockWatch::look(const std::vector<Wait>& waits,
                                                     std::optional<std::uint64_t> idle_since) {
  const auto idle_before = std::exchange(idle_since_, idle_since);
  const bool is_idle = idle_since && idle_since == idle_before;
  std::vector<Wait> in_vain = is_idle ? waits : in_rings(waits);
  // Part of them may just have come: what they wait for is then not what it was.
  const auto waited_before = [this](const Wait& wait) {
    return std::ranges::any_of(before_, [&wait](const Wait& earlier) { return earlier.is_same(wait); });
  };
  const bool all_did = std::ranges::all_of(in_vain, waited_before);
  before_ = idle_since ? waits : in_vain;
  if (!all_did || in_vain.empty()) return {};
  due_ += shortest_pause - pause_;
  pause_ = shortest_pause;
  return in_vain;
}

/// Each waits for one thing, and that has one holder: whoever comes back to itself by these steps is in a ring.
std::vector<DeadlockWatch::Wait> DeadlockWatch::in_rings(const std::vector<Wait>& waits) {
  std::map<shared::ParticipantId, shared::ParticipantId> holder_of;
  for (const Wait& wait : waits) holder_of[wait.who] = wait.holder;
  const auto is_in_ring = [&holder_of](const Wait& wait) {
    auto next = wait.holder;
    for (std::size_t steps = 0; steps < holder_of.size(); ++steps) {
      if (next == wait.who) return true;
      const auto known = holder_of.find(next);
      if (known == holder_of.end()) return false;
      next = known->second;
    }
    return false;
  };
  std::vector<Wait> found;
  std::ranges::copy_if(waits, std::back_inserter(found), is_in_ring);
  return found;
}

std::string DeadlockWatch::describe(const std::vector<Wait>& all, const Name& name) {
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), most_described); ++i) {
    const Wait& wait = all[i];
    text += (i == 0 ? "" : "; ") + name(wait) + " waits for " + wait.object;
    if (wait.holder == shared::nobody) continue;
    const auto holder = std::ranges::find(all, wait.holder, &Wait::who);
    text += ", held by " + (holder != all.end() ? name(*holder) : name({.who = wait.holder}));
  }
  if (all.size() > most_described) text += "; and " + std::to_string(all.size() - most_described) + " more";
  return text;
}

}  // namespace rankpool::master
