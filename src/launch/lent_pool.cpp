#include "launch/lent_pool.hpp"

#include <optional>
#include <utility>

#include <rankpool/errors.hpp>

#include "launch/process.hpp"
#include "task/this_task.hpp"

namespace rankpool::launch {
namespace {

thread_local bool in_pool = false;

class Inside {
 public:
  explicit Inside(bool inside) : before_(std::exchange(in_pool, inside)) {}
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() { in_pool = before_; }

 private:
  bool before_;
};

/// Inputs are drawn without the pool's lock.
class OutsideSource final : public detail::InputSource {
 public:
  explicit OutsideSource(detail::InputSource& source) : source_(source) {}

  bool draw(detail::PieceWriter& writer) override {
    const Inside outside(false);
    return source_.draw(writer);
  }
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return source_.size(); }

 private:
  detail::InputSource& source_;
};

template <class Work>
void do_inside(const std::weak_ptr<detail::PoolCore>& pool, const Work& work) {
  const std::shared_ptr<detail::PoolCore> core = pool.lock();
  if (core == nullptr) return;
  const Inside inside(true);
  work(*core);
}

}  // namespace

LentPool::LentPool(const std::shared_ptr<detail::PoolCore>& pool)
    : pool_(pool), processes_(pool->processes()), name_(pool->name()) {}

void LentPool::run(const detail::CallSpec& spec, detail::InputSource& source, detail::ResultSink& sink) {
  const std::shared_ptr<detail::PoolCore> core = pool_.lock();
  if (core == nullptr) throw PoolClosed();
  OutsideSource outside(source);
  try {
    const Inside inside(true);
    core->run(spec, outside, sink);
  } catch (...) {
    // What ended the call may be the end of the program, which nobody gets to see.
    ExitGuard::stay_for_exit();
    throw;
  }
}

void LentPool::start(const detail::CallSpec& spec, std::optional<std::uint64_t> total,
                     std::shared_ptr<detail::AsyncCall> call) {
  const std::shared_ptr<detail::PoolCore> core = pool_.lock();
  if (core == nullptr) throw PoolClosed();
  core->start(spec, total, std::move(call));
}

bool LentPool::feed(detail::AsyncCall& call, detail::InputSource& source, std::uint64_t most) {
  const std::shared_ptr<detail::PoolCore> core = pool_.lock();
  return core != nullptr && core->feed(call, source, most);
}

bool LentPool::await(const detail::Condition& condition, detail::Deadline deadline) {
  const std::shared_ptr<detail::PoolCore> core = pool_.lock();
  if (core == nullptr) return condition();
  const Inside inside(true);
  return core->await(condition, deadline);
}

bool LentPool::cancel(detail::AsyncCall& call) {
  const std::shared_ptr<detail::PoolCore> core = pool_.lock();
  return core == nullptr ? call.was_cancelled() : core->cancel(call);
}

void LentPool::drop(detail::AsyncCall& call) noexcept {
  if (const std::shared_ptr<detail::PoolCore> core = pool_.lock()) core->drop(call);
}

bool LentPool::running(const detail::AsyncCall& call) {
  const std::shared_ptr<detail::PoolCore> core = pool_.lock();
  return core != nullptr && core->running(call);
}

void LentPool::close() {
  do_inside(pool_, [](auto& pool) { pool.close(); });
}

void LentPool::join() {
  do_inside(pool_, [](auto& pool) { pool.join(); });
}

void LentPool::terminate() {
  do_inside(pool_, [](auto& pool) { pool.terminate(); });
}

void LentPool::cancel_pending() {
  do_inside(pool_, [](auto& pool) { pool.cancel_pending(); });
}

PoolState LentPool::state() const {
  PoolState state = PoolState::closed;
  do_inside(pool_, [&](auto& pool) { state = pool.state(); });
  return state;
}

// Tasks that run inline do so without the pool's lock.
bool LentPool::works_here() { return in_pool && task::current_task() == nullptr; }

}  // namespace rankpool::launch
