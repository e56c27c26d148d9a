/// @file
/// The reading end of a stream: draws inputs a bounded number ahead of what is read, and waits for results.
///
///   StreamInputs ──feed()──► AsyncCore ──► executors ──► StreamCall ──take()──► StreamReader ──► ResultStream
///        ▲                                                                         │
///        └────────── rounds of drawing: drawn - read <= ReadAhead ────────────────┘
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/deadline.hpp>
#include <rankpool/detail/stream_call.hpp>
#include <rankpool/detail/stream_inputs.hpp>
#include <rankpool/detail/stream_sizes.hpp>
#include <rankpool/errors.hpp>
#include <rankpool/options.hpp>
#include <rankpool/outcome.hpp>

namespace rankpool::detail {

/// One thread at a time reads.
template <class R>
class StreamReader {
 public:
  /// @param chunk tasks that an executor takes at a time; 0: the pool decides.
  StreamReader(std::shared_ptr<StreamCall<R>> call, std::unique_ptr<StreamInputs> inputs, const ReadAhead& ahead,
               std::uint64_t chunk)
      : call_(std::move(call)), inputs_(std::move(inputs)), ahead_(ahead), round_(std::min(chunk, ahead.size())) {}
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  ~StreamReader() {
    if (at_end()) return;
    call_->abandon();
    if (call_->done()) return;
    if (const auto pool = call_->pool()) pool->drop(*call_);
  }

  /// Draws the first inputs: all there is room for, unless they are slow.
  /// @throws what the pool has against being called here; what the inputs throw comes in its place in the stream.
  void prefetch() {
    const Clock::time_point enough = Clock::now() + RoundSize::target;
    while (draw_round(1) && Clock::now() < enough) {
    }
  }

  /// Goes on to the next item, whose place is taken by what became of its task.
  /// @param timeout to wait at most; empty: no limit.
  /// @returns false at the end.
  /// @throws TimeoutError, what the inputs threw, why the call ended early; the stream goes on after each.
  bool advance(std::optional<Seconds> timeout) {
    release();
    bool has_drawn = false;
    if (run_ == runs_.size() && !fetch(timeout, has_drawn)) return false;
    // Before the item is handed over, so that executors work while the user looks at it, and so that none is lost
    // where this throws. Not for each item: a piece is to have several tasks.
    ++read_;
    try {
      if (!has_drawn) draw_round(std::max<std::uint64_t>(ahead_.size() / 4, 1));
    } catch (...) {
      --read_;
      throw;
    }
    current_ = &runs_[run_][place_];
    return true;
  }

  /// The item that advance() went to; null before the first, at the end, and when it was released.
  [[nodiscard]] Outcome<R>* current() const noexcept { return current_; }

  /// Frees the current item.
  void release() noexcept {
    if (current_ == nullptr) return;
    // R may not be assignable.
    std::destroy_at(current_);
    std::construct_at(current_);
    current_ = nullptr;
    if (++place_ < runs_[run_].size()) return;
    ++run_;
    place_ = 0;
  }

  [[nodiscard]] bool at_end() const noexcept { return call_ == nullptr; }

 private:
  using Supply = typename StreamCall<R>::Supply;

  using Clock = std::chrono::steady_clock;

  /// How many inputs may be drawn now.
  [[nodiscard]] std::uint64_t room() const noexcept {
    const std::uint64_t ahead = inputs_->drawn().tasks - read_;
    return ahead_.size() - std::min(ahead, ahead_.size());
  }

  /// Draws some inputs, if there are any and there is room for at least so many.
  /// @returns whether it has drawn.
  bool draw_round(std::uint64_t least) {
    if (inputs_ == nullptr || inputs_->error() != nullptr) return false;
    if (room() < least) return false;
    const auto pool = call_->pool();
    if (pool == nullptr) return false;
    const Clock::time_point begun = Clock::now();
    ahead_.learn(read_, inputs_->drawn(), call_->arrived(), begun);
    const std::uint64_t tasks = round_.within(room());
    if (tasks == 0) return false;
    const std::uint64_t before = inputs_->drawn().tasks;
    try {
      if (pool->feed(*call_, *inputs_, tasks)) {
        round_.learn(inputs_->drawn().tasks - before, Clock::now() - begun);
      } else {
        inputs_.reset();  // the user's memory is freed as early as can be
      }
    } catch (...) {
      if (inputs_->error() == nullptr) throw;
    }
    return true;
  }

  /// Waits for items. @returns false at the end.
  /// @param has_drawn set where the last thing done was to draw, and results came meanwhile.
  bool fetch(std::optional<Seconds> timeout, bool& has_drawn) {
    std::optional<Deadline> deadline;
    while (!at_end()) {
      run_ = 0;
      const Supply supply = call_->take(runs_);
      if (supply == Supply::results) return true;
      if (supply == Supply::no_more) {
        end();
        break;
      }
      if (!deadline) deadline = timeout ? deadline_after(*timeout) : Deadline();
      has_drawn = draw_until_news(*deadline);
      if (has_drawn) continue;
      const Clock::time_point begun = Clock::now();
      if (!await_news(*deadline)) throw_late("the next result did not come", *timeout);
      ahead_.waited(Clock::now() - begun);
    }
    return false;
  }

  /// @returns false when the deadline passed before.
  bool await_news(Deadline deadline) {
    const auto pool = call_->pool();
    return pool != nullptr ? pool->await(news(), deadline) : call_->await_end_of_pool(deadline);
  }

  /// Draws all there is room for.
  /// @returns true when it has stopped before, for there was news.
  bool draw_until_news(Deadline deadline) {
    Clock::time_point looked = Clock::now();
    while (draw_round(1)) {
      if (call_->has_news()) return true;
      const Clock::time_point now = Clock::now();
      if (now - looked > RoundSize::target) {
        // Nobody else may drive the pool, or call results in that are few.
        if (await_news(now + RoundSize::target / 10)) return true;
        looked = Clock::now();
      }
      if (deadline && now >= *deadline) return false;
    }
    return false;
  }

  [[nodiscard]] Condition news() const {
    return [call = call_.get()] { return call->has_news(); };
  }

  void end() {
    std::exception_ptr failure = call_->take_failure();
    call_.reset();
    if (inputs_ != nullptr) {
      if (inputs_->error() == nullptr)
        inputs_.reset();
      else if (failure == nullptr)
        failure = inputs_->error();  // which may refer to the inputs: they stay
    }
    if (failure != nullptr) std::rethrow_exception(failure);
  }

  std::shared_ptr<StreamCall<R>> call_;   ///< null at the end
  std::unique_ptr<StreamInputs> inputs_;  ///< null when all are drawn
  ReadAhead ahead_;
  RoundSize round_;
  std::uint64_t read_ = 0;

  std::vector<typename StreamCall<R>::Run> runs_;  ///< taken from the call
  std::size_t run_ = 0;
  std::size_t place_ = 0;  ///< in that run
  Outcome<R>* current_ = nullptr;
};

}  // namespace rankpool::detail
