#include "launch/lent_pool.hpp"

#include <optional>
#include <string_view>
#include <utility>

#include <rankpool/errors.hpp>

#include "launch/exit_guard.hpp"

namespace rankpool::launch {

LentPool::LentPool(const std::shared_ptr<detail::PoolCore>& pool)
    : pool_(pool), planned_processes_(pool->processes()), name_(pool->name()) {}

template <class Work>
void LentPool::do_at_home(const Work& work) const {
  const std::shared_ptr<detail::PoolCore> core = is_at_home() ? pool_.lock() : nullptr;
  if (core == nullptr) return;
  work(*core);
}

/// The pool, for a new call.
std::shared_ptr<detail::PoolCore> LentPool::pool_for(std::string_view what) const {
  home_.require(what);
  std::shared_ptr<detail::PoolCore> core = pool_.lock();
  if (core == nullptr) throw PoolClosed();
  return core;
}

void LentPool::run(const detail::CallSpec& spec, detail::InputSource& source, detail::ResultSink& sink) {
  const std::shared_ptr<detail::PoolCore> core = pool_for(spec.what);
  try {
    core->run(spec, source, sink);
  } catch (...) {
    // What ended the call may be the end of the program, which nobody gets to see.
    ExitGuard::stay_for_exit();
    throw;
  }
}

void LentPool::start(const detail::CallSpec& spec, std::optional<std::uint64_t> total,
                     std::shared_ptr<detail::AsyncCall> call) {
  pool_for(spec.what)->start(spec, total, std::move(call));
}

void LentPool::close() {
  do_at_home([](auto& pool) { pool.close(); });
}

void LentPool::join() {
  do_at_home([](auto& pool) { pool.join(); });
}

void LentPool::terminate() {
  do_at_home([](auto& pool) { pool.terminate(); });
}

void LentPool::cancel_pending() {
  do_at_home([](auto& pool) { pool.cancel_pending(); });
}

detail::SharedHandle LentPool::make_object(const detail::SharedSpec& spec) {
  return pool_for("making a shared object")->make_object(spec);
}

void LentPool::check_may_wait() const {
  do_at_home([](auto& pool) { pool.check_may_wait(); });
}

bool LentPool::delivers_here() const noexcept {
  bool here = false;
  do_at_home([&](auto& pool) { here = pool.delivers_here(); });
  return here;
}

int LentPool::processes() const {
  int processes = planned_processes_;
  do_at_home([&](auto& pool) { processes = pool.processes(); });
  return processes;
}

PoolState LentPool::state() const {
  PoolState state = PoolState::closed;
  do_at_home([&](auto& pool) { state = pool.state(); });
  return state;
}

OpenedPool::OpenedPool(std::shared_ptr<detail::PoolCore> pool, std::unique_ptr<EndWatch> end_watch)
    : LentPool(pool), pool_(std::move(pool)), end_watch_(std::move(end_watch)) {}

OpenedPool::~OpenedPool() {
  if (is_at_home()) return;
  static_cast<void>(end_watch_.release());                   // its thread did not come along with the fork
  static_cast<void>(new std::shared_ptr(std::move(pool_)));  // NOLINT(cppcoreguidelines-owning-memory): kept for good
}

}  // namespace rankpool::launch
