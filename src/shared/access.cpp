#include "shared/access.hpp"

#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include <rankpool/errors.hpp>

namespace rankpool {
namespace {

using detail::SharedAnswer;
using detail::SharedReply;

/// The pools of this process, the master's; which has them because handles are plain numbers.
class Pools {
 public:
  void add(std::uint64_t pool, const std::shared_ptr<shared::Access>& access) {
    const std::lock_guard lock(mutex_);
    std::erase_if(pools_, [](const auto& known) { return known.second.expired(); });
    pools_[pool] = access;
  }

  std::shared_ptr<shared::Access> find(std::uint64_t pool) {
    const std::lock_guard lock(mutex_);
    const auto found = pools_.find(pool);
    return found == pools_.end() ? nullptr : found->second.lock();
  }

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::weak_ptr<shared::Access>> pools_;
};

Pools& pools() {
  static Pools instance;
  return instance;
}

/// What an executor has; written before its first task.
struct OfExecutor {
  std::uint64_t pool = 0;
  shared::Access* access = nullptr;
};
OfExecutor of_executor;

std::string prefix(std::string_view what) { return "rankpool: " + std::string(what) + "(): "; }

[[noreturn]] void throw_outside(std::uint64_t pool, std::string_view what) {
  if (pool == 0) {
    throw std::logic_error(prefix(what) +
                           "this object was made by no pool; Pool::value(), Pool::lock() and their "
                           "like make them");
  }
  throw std::logic_error(prefix(what) +
                         "the object's pool is not here: it has ended, or the object belongs to another pool than the "
                         "one whose task this is");
}

/// Calls `work` with this process's access to the pool.
template <class Work>
auto with_access(std::uint64_t pool, std::string_view what, const Work& work) {
  if (of_executor.access != nullptr) {
    if (of_executor.pool != pool) throw_outside(pool, what);
    return work(*of_executor.access);
  }
  const std::shared_ptr<shared::Access> access = pools().find(pool);
  if (access == nullptr) throw_outside(pool, what);
  return work(*access);
}

std::string text_of(const SharedReply& reply) {
  return {reinterpret_cast<const char*>(reply.bytes.data()), reply.bytes.size()};
}

[[noreturn]] void throw_answer(const SharedReply& reply, std::string_view what) {
  switch (reply.answer) {
    case SharedAnswer::not_mine:
      throw std::logic_error(prefix(what) + "this task or thread does not hold the lock");
    case SharedAnswer::mine_already:
      throw Deadlock(prefix(what) +
                     "this task or thread holds the lock already and would wait for itself; an RLock "
                     "may be locked several times");
    case SharedAnswer::too_many:
      throw std::overflow_error(prefix(what) + "more permits than can be counted");
    case SharedAnswer::out_of_range:
      throw std::out_of_range(prefix(what) + text_of(reply));
    case SharedAnswer::in_vain:
      throw Deadlock(prefix(what) + text_of(reply));
    case SharedAnswer::gone:
      throw std::logic_error(prefix(what) + "the object is gone: destroy() was called on it");
    case SharedAnswer::failed:
      throw std::runtime_error(prefix(what) + text_of(reply));
    case SharedAnswer::wrong_kind:
      throw std::logic_error(prefix(what) + "this object does not do that");
    default:
      detail::throw_damaged(what);
  }
}

}  // namespace

void shared::add_pool(std::uint64_t pool, const std::shared_ptr<Access>& access) { pools().add(pool, access); }

void shared::become_executor_of(std::uint64_t pool, Access& access) { of_executor = {pool, &access}; }

void shared::end_task() noexcept {
  if (of_executor.access != nullptr) of_executor.access->end_task();
}

SharedReply detail::ask_shared(const SharedRequest& request, std::string_view what) {
  SharedReply reply =
      with_access(request.object.pool, what, [&](shared::Access& access) { return access.perform(request); });
  switch (reply.answer) {
    case SharedAnswer::done:
    case SharedAnswer::refused:
    case SharedAnswer::late:
    case SharedAnswer::closed:
      return reply;
    default:
      throw_answer(reply, what);
  }
}

void detail::throw_damaged(std::string_view what) {
  throw std::runtime_error(prefix(what) +
                           "the object makes no sense any more: a task has written to memory that is not its own; "
                           "RANKPOOL_INLINE=1 and valgrind show which");
}

void detail::destroy_shared(const SharedHandle& object) {
  with_access(object.pool, "destroy", [&](shared::Access& access) { access.destroy(object); });
}

}  // namespace rankpool
