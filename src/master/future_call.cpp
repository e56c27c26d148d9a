#include <rankpool/detail/future_call.hpp>

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include <rankpool/errors.hpp>

#include "master/callback_mark.hpp"
#include "support/text.hpp"

namespace rankpool::detail {
namespace {

// Calls of all pools that have ended.
std::atomic<std::uint64_t> finished_calls = 0;

void log(const std::exception_ptr& error) noexcept {
  try {
    const std::string whole = text_of(error);
    const std::string text(support::without_prefix(whole));
    std::fprintf(stderr, "rankpool: a callback threw: %s\n", text.c_str());
  } catch (...) {
    std::fputs("rankpool: a callback threw\n", stderr);
  }
}

}  // namespace

// Whether the pool waits for it or not, a callback is in the same place.
void FutureCall::run(std::unique_ptr<CallBack> callback) const noexcept {
  const master::CallbackMark mark(weak_pool());
  try {
    callback->run();
  } catch (...) {
    log(std::current_exception());
  }
  callback.reset();
}

void FutureCall::call_back() noexcept {
  std::unique_lock lock(mutex_);
  caller_ = pthread_self();
  stage_.store(Stage::calling_back, std::memory_order_release);
  while (!callbacks_.empty()) {
    std::vector<std::unique_ptr<CallBack>> batch = std::exchange(callbacks_, {});
    lock.unlock();
    for (std::unique_ptr<CallBack>& callback : batch) run(std::move(callback));
    lock.lock();
  }
  order_ = finished_calls.fetch_add(1, std::memory_order_relaxed);
  stage_.store(Stage::over, std::memory_order_release);
  observers_.tell(order_);
}

void FutureCall::add_callback(std::unique_ptr<CallBack> callback) {
  {
    const std::lock_guard lock(mutex_);
    require_not_taken();
    if (stage() < Stage::over) {
      callbacks_.push_back(std::move(callback));
      return;
    }
  }
  run(std::move(callback));
}

void FutureCall::add_observer(Observer& observer) {
  const std::lock_guard lock(mutex_);
  if (calls_back_here()) {
    observer.finished(finished_calls.load(std::memory_order_relaxed));
  } else if (stage() < Stage::over) {
    observers_.add(observer);
  } else {
    observer.finished(order_);
  }
}

void FutureCall::remove_observer(Observer& observer) {
  const std::lock_guard lock(mutex_);
  ObserverRing::remove(observer);
}

bool FutureCall::await(Deadline deadline) {
  if (settled()) return true;
  if (const std::shared_ptr<AsyncCore> core = pool()) {
    return core->await([this] { return done(); }, deadline) || done();
  }
  return await_end_of_pool(deadline);
}

bool FutureCall::cancel_call() {
  if (!done()) {
    if (const std::shared_ptr<AsyncCore> core = pool()) return core->cancel(*this);
  }
  return cancelled();
}

bool FutureCall::running() const {
  if (done()) return false;
  const std::shared_ptr<AsyncCore> core = pool();
  return core != nullptr && core->running(*this);
}

bool FutureCall::cancelled() const {
  if (was_cancelled()) return true;
  if (!settled() || error_ == nullptr) return false;
  try {
    std::rethrow_exception(error_);
  } catch (const RemoteError&) {
    return false;
  } catch (const CancelledError&) {
    return true;
  } catch (...) {
    return false;
  }
}

void FutureCall::require_value() const {
  if (error_ != nullptr) std::rethrow_exception(error_);
  require_not_taken();
}

void FutureCall::take_value() {
  require_value();
  if (stage() < Stage::over) {
    throw std::logic_error(
        "rankpool: a callback must not move the result out of its own future, where the callbacks after it and the "
        "waiters look for it");
  }
  Stage over = Stage::over;
  if (!stage_.compare_exchange_strong(over, Stage::taken)) require_not_taken();
}

void FutureCall::require_not_taken() const {
  if (stage() != Stage::taken) return;
  throw std::logic_error(
      "rankpool: the result has been moved out by get() of a temporary or moved future; get() of a future with a name "
      "leaves it there for others");
}

}  // namespace rankpool::detail
