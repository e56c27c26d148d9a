/// @file
/// What the pool and the reader of a stream share: the results that have come and are not yet read.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include <rankpool/detail/async_call.hpp>
#include <rankpool/detail/call.hpp>
#include <rankpool/detail/results.hpp>
#include <rankpool/detail/stream_sizes.hpp>
#include <rankpool/outcome.hpp>

namespace rankpool::detail {

/// The order in which a stream gives its results.
enum class Order : std::uint8_t {
  input,    ///< that of the inputs
  arrival,  ///< as they come
};

/// A call whose results are read one by one while it goes on. They change hands in runs, as they arrive: nothing of the
/// user's runs under the mutex.
template <class R>
class StreamCall final : public AsyncCall, private ResultSink {
 public:
  /// What became of tasks that follow one another.
  using Run = std::vector<Outcome<R>>;

  /// What there is to read.
  enum class Supply : std::uint8_t {
    results,   ///< some
    none_yet,  ///< nothing, but the call goes on
    no_more,   ///< nothing, and nothing comes
  };

  explicit StreamCall(Order order) noexcept : order_(order) {}

  ResultSink& sink() override { return *this; }

  void finish(std::exception_ptr failure) noexcept override {
    std::map<std::uint64_t, Run> lost;  // freed without the mutex
    const std::lock_guard lock(mutex_);
    lost.swap(early_);
    failure_ = std::move(failure);
    if (phase_ == Phase::running) phase_ = Phase::finished;
    news_.store(true, std::memory_order_release);
  }

  /// Takes all that can be read, in the stream's order.
  /// @param runs what is in it is dropped; its memory is used again.
  Supply take(std::vector<Run>& runs) {
    runs.clear();
    const std::lock_guard lock(mutex_);
    runs.swap(ready_);
    if (phase_ == Phase::running) news_.store(false, std::memory_order_relaxed);
    if (!runs.empty()) return Supply::results;
    return phase_ == Phase::running ? Supply::none_yet : Supply::no_more;
  }

  /// Whether take() would give something other than `none_yet`.
  [[nodiscard]] bool has_news() const noexcept { return news_.load(std::memory_order_acquire); }

  /// All results so far; the bytes are those that they travelled as.
  [[nodiscard]] Amount arrived() {
    const std::lock_guard lock(mutex_);
    return arrived_;
  }

  /// Why the call ended before its tasks, once take() has said `no_more`; null the second time.
  [[nodiscard]] std::exception_ptr take_failure() noexcept { return std::exchange(failure_, nullptr); }

  /// Nobody will read: frees what there is, and what may still come at once.
  void abandon() noexcept {
    std::vector<Run> ready;
    std::map<std::uint64_t, Run> early;
    const std::lock_guard lock(mutex_);
    ready.swap(ready_);
    early.swap(early_);
    phase_ = Phase::abandoned;
  }

 private:
  enum class Phase : std::uint8_t { running, finished, abandoned };

  void expect(std::uint64_t /*tasks*/) override {}

  void values(std::uint64_t first, std::uint64_t count, Bytes encoded) override {
    Run run;
    run.reserve(static_cast<std::size_t>(count));
    if constexpr (std::is_void_v<R>) {
      run.assign(static_cast<std::size_t>(count), Outcome<void>::success());
    } else {
      for_each_result<R>(
          first, count, encoded, [&run](std::uint64_t /*task*/, auto decode) { run.push_back(Outcome<R>(decode())); },
          [&run](std::uint64_t /*task*/, std::exception_ptr failure) {
            run.push_back(Outcome<R>::failure(std::move(failure)));
          });
    }
    add(first, std::move(run), encoded.size());
  }

  void error(std::uint64_t task, std::exception_ptr error) override {
    Run run;
    run.push_back(Outcome<R>::failure(std::move(error)));
    add(task, std::move(run), 0);
  }

  void add(std::uint64_t first, Run&& run, std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    arrived_.tasks += run.size();
    arrived_.bytes += bytes;
    if (phase_ != Phase::running) return;
    if (order_ == Order::input && first != next_) {
      early_.emplace(first, std::move(run));
      return;
    }
    append(std::move(run));
    for (auto it = early_.begin(); it != early_.end() && it->first == next_; it = early_.erase(it)) {
      append(std::move(it->second));
    }
    news_.store(true, std::memory_order_release);
  }

  void append(Run&& run) {
    next_ += run.size();
    ready_.push_back(std::move(run));
  }

  const Order order_;
  std::atomic<bool> news_ = false;  ///< changed under the mutex, looked at without

  std::mutex mutex_;
  Phase phase_ = Phase::running;
  std::vector<Run> ready_;
  std::map<std::uint64_t, Run> early_;  ///< by their first task; Order::input: those that wait for an earlier one
  std::uint64_t next_ = 0;              ///< Order::input: the first task that is not in ready_ or read
  Amount arrived_;
  std::exception_ptr failure_;
};

}  // namespace rankpool::detail
