// The locks that the tasks of one participant hold: what a task leaves locked at its end is given back for it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

#include <rankpool/detail/shared.hpp>

namespace rankpool::shared {

/// @tparam Task what tells one task from another.
template <class Task>
class Holdings {
 public:
  /// So that the next note() needs no memory.
  void reserve() {
    if (held_.size() == held_.capacity()) held_.reserve(std::max<std::size_t>(8, 2 * held_.size()));
  }

  /// Keeps account of what was done for the task.
  void note(const detail::SharedRequest& request, const detail::SharedReply& reply, const Task& task) {
    using detail::SharedVerb;
    if (reply.answer != detail::SharedAnswer::done) return;
    if (request.verb == SharedVerb::lock || request.verb == SharedVerb::try_lock) {
      held_.push_back({request.object, task});
    } else if (request.verb == SharedVerb::unlock) {
      const auto last = std::ranges::find(held_.rbegin(), held_.rend(), request.object, &Held::lock);
      if (last != held_.rend()) held_.erase(std::next(last).base());
    }
  }

  [[nodiscard]] bool empty() const { return held_.empty(); }
  /// Whether some are left of other tasks than this.
  [[nodiscard]] bool any_but_of(const Task& task) const { return !held_.empty() && held_.back().task != task; }

  /// The one that was locked last. Not to be called when empty.
  [[nodiscard]] detail::SharedHandle last() const { return held_.back().lock; }
  /// Takes it out, however often it was locked.
  void remove(const detail::SharedHandle& lock) {
    std::erase_if(held_, [&lock](const Held& held) { return held.lock == lock; });
  }

 private:
  struct Held {
    detail::SharedHandle lock;
    Task task;
  };
  std::vector<Held> held_;
};

}  // namespace rankpool::shared
