#include <rankpool/detail/completions.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>

#include "master/callback_mark.hpp"

namespace rankpool::detail {
namespace {

using namespace std::chrono_literals;

constexpr auto turn = 5ms;
constexpr auto glance = 100us;

}  // namespace

/// The calls that have ended, in that order, and the pools of those that have not.
class Completions::Queue {
 public:
  explicit Queue(const std::vector<FutureCall*>& calls) : observations_(calls.size()) {
    finished_.reserve(calls.size());
    for (std::size_t i = 0; i < calls.size(); ++i) {
      observations_[i].call = calls[i];
      observations_[i].queue = this;
      observations_[i].pool = pool_of(*calls[i]);
    }
    for (Observation& observation : observations_) observation.call->add_observer(observation);
    // Some had ended before, others meanwhile.
    const std::lock_guard lock(mutex_);
    std::ranges::sort(finished_, {}, &Observation::order);
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() {
    for (Observation& observation : observations_) {
      if (observation.call != nullptr) observation.call->remove_observer(observation);
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return observations_.size(); }

  [[nodiscard]] std::size_t done() noexcept {
    const std::lock_guard lock(mutex_);
    count_done();
    return done_;
  }

  [[nodiscard]] std::size_t at(std::size_t place) noexcept {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(finished_[place] - observations_.data());
  }

  /// What is left to wait for.
  struct Pending {
    std::weak_ptr<AsyncCore> pool;  ///< of some of the calls
    std::ptrdiff_t pools;           ///< of all of them
  };

  /// @returns the pools that have such calls, each in its turn.
  [[nodiscard]] Pending pending() {
    const std::lock_guard lock(mutex_);
    count_done();
    const auto pools = std::ranges::count_if(pools_, [](const PendingPool& pool) { return pool.calls != 0; });
    if (pools == 0) return {{}, 0};
    do turn_ = (turn_ + 1) % pools_.size();
    while (pools_[turn_].calls == 0);
    return {pools_[turn_].pool, pools};
  }

 private:
  /// One of the calls.
  struct Observation final : Observer {
    void finished(std::uint64_t order_of_end) noexcept override {
      order = order_of_end;
      const std::lock_guard lock(queue->mutex_);
      queue->finished_.push_back(this);  // there is room for all
    }

    FutureCall* call = nullptr;  ///< null once it is done, when it never looks at its observers again
    Queue* queue = nullptr;
    std::size_t pool = 0;
    std::uint64_t order = 0;
  };

  struct PendingPool {
    std::weak_ptr<AsyncCore> pool;
    std::size_t calls;
  };

  void count_done() noexcept {
    for (; done_ < finished_.size() && is_over(*finished_[done_]->call); ++done_) {
      finished_[done_]->call = nullptr;
      --pools_[finished_[done_]->pool].calls;
    }
  }

  // An observer hears of an end just before the call is done; in its callback, at once.
  [[nodiscard]] static bool is_over(const FutureCall& call) noexcept { return call.done() || call.calls_back_here(); }

  /// Counts one more call of its pool.
  /// @returns that pool's place.
  std::size_t pool_of(const FutureCall& call) {
    const std::weak_ptr<AsyncCore>& pool = call.weak_pool();
    const auto is_same = [&pool](const PendingPool& other) {
      return !pool.owner_before(other.pool) && !other.pool.owner_before(pool);
    };
    auto found = std::ranges::find_if(pools_, is_same);
    if (found == pools_.end()) found = pools_.insert(found, {pool, 0});
    ++found->calls;
    return static_cast<std::size_t>(found - pools_.begin());
  }

  std::mutex mutex_;
  std::vector<Observation> observations_;
  std::vector<Observation*> finished_;
  std::vector<PendingPool> pools_;
  std::size_t done_ = 0;
  std::size_t turn_ = 0;
};

Completions::Completions(const std::vector<FutureCall*>& calls) : queue_(std::make_unique<Queue>(calls)) {}

Completions::~Completions() = default;

std::size_t Completions::size() const noexcept { return queue_->size(); }

std::size_t Completions::done() noexcept { return queue_->done(); }

std::size_t Completions::operator[](std::size_t place) noexcept { return queue_->at(place); }

bool Completions::await(const Condition& condition, Deadline deadline) {
  using Clock = std::chrono::steady_clock;
  while (!condition()) {
    const auto [pool, pools] = queue_->pending();
    const Clock::time_point now = Clock::now();
    if (pools == 0) return condition();
    if (const std::shared_ptr<AsyncCore> core = pool.lock()) {
      // Each pool in turn: they wake only those who wait for them, and some are driven by nobody else.
      const Clock::time_point slice = now + turn;
      core->await(condition, pools == 1 ? deadline : std::min(deadline.value_or(slice), slice));
    } else {
      // Another thread destroys it, which ends its calls.
      master::CallbackMark::refuse_blocking(pool);
      std::this_thread::sleep_for(glance);
    }
    if (deadline && *deadline <= Clock::now()) return condition();
  }
  return true;
}

}  // namespace rankpool::detail
