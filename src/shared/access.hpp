// How a process reaches the shared objects of its pools: an executor those of its one pool, the master those of each
// pool that it has.
#pragma once

#include <cstdint>
#include <memory>

#include <rankpool/detail/shared.hpp>

namespace rankpool::shared {

class Access {
 public:
  Access() = default;
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;
  virtual ~Access() = default;

  /// Blocks as long as the request has to wait.
  virtual detail::SharedReply perform(const detail::SharedRequest& request) = 0;
  virtual void destroy(const detail::SharedHandle& object) = 0;
  /// The task that ran in this thread has ended, perhaps by an exception: locks that it has not unlocked are given
  /// back.
  virtual void end_task() noexcept {}
};

/// This process has this pool: from here on, while it lives.
void add_pool(std::uint64_t pool, const std::shared_ptr<Access>& access);

/// This process is an executor of this pool, from here to its end.
void become_executor_of(std::uint64_t pool, Access& access);

/// As Access::end_task(), in an executor; elsewhere it does nothing.
void end_task() noexcept;

}  // namespace rankpool::shared
