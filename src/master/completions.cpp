#include <rankpool/detail/completions.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <utility>

#include <rankpool/errors.hpp>

namespace rankpool::detail {

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

  struct Drive {
    std::shared_ptr<PoolCore> core;
    bool alone;
  };

  /// @returns a pool with calls that are not done, each in its turn; null when there is none.
  [[nodiscard]] Drive pool_to_drive() {
    const std::lock_guard lock(mutex_);
    for (;;) {
      count_done();
      const auto pending = std::ranges::count_if(pools_, [](const PendingPool& pool) { return pool.pending != 0; });
      if (pending == 0) return {nullptr, true};
      do turn_ = (turn_ + 1) % pools_.size();
      while (pools_[turn_].pending == 0);
      if (std::shared_ptr<PoolCore> core = pools_[turn_].core.lock()) return {std::move(core), pending == 1};
      // A pool goes only after its calls are done, so this one went just now.
      count_done();
      if (pools_[turn_].pending != 0) throw BrokenPool("the pool has gone, and left a call without an end");
    }
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
    const PoolCore* identity;  ///< null for calls whose pool has gone, which are done
    std::weak_ptr<PoolCore> core;
    std::size_t pending;
  };

  void count_done() noexcept {
    // An observer hears of an end just before the call is done.
    for (; done_ < finished_.size() && finished_[done_]->call->done(); ++done_) {
      finished_[done_]->call = nullptr;
      --pools_[finished_[done_]->pool].pending;
    }
  }

  /// Counts one more call of its pool.
  /// @returns that pool's place.
  std::size_t pool_of(const FutureCall& call) {
    const std::shared_ptr<PoolCore> core = call.pool();
    auto found = std::ranges::find(pools_, core.get(), &PendingPool::identity);
    if (found == pools_.end()) found = pools_.insert(found, {core.get(), core, 0});
    ++found->pending;
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
    const auto [core, alone] = queue_->pool_to_drive();
    if (core == nullptr) return condition();
    if (alone) return core->await(condition, deadline) || condition();
    // Each pool in turn: they wake only those who wait for them, and some are driven by nobody else.
    const Clock::time_point slice = Clock::now() + std::chrono::milliseconds(5);
    if (deadline && *deadline <= slice) return core->await(condition, deadline) || condition();
    core->await(condition, slice);
  }
  return true;
}

}  // namespace rankpool::detail
