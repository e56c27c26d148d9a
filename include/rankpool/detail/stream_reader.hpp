/// @file
/// The reading end of a stream: draws inputs a bounded number ahead of what is read, and waits for results.
///
///   StreamInputs ──feed()──► PoolCore ──► executors ──► StreamCall ──take()──► StreamReader ──► ResultStream
///        ▲                                                                         │
///        └────────── rounds of drawing: drawn - read <= buffersize ────────────────┘
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/deadline.hpp>
#include <rankpool/detail/stream_call.hpp>
#include <rankpool/errors.hpp>
#include <rankpool/options.hpp>
#include <rankpool/outcome.hpp>

namespace rankpool::detail {

/// The inputs a stream keeps. Counts what is drawn, and remembers what drawing threw.
class StreamInputs : public InputSource {
 public:
  bool draw(PieceWriter& writer) final {
    Counter counter(writer, drawn_);
    try {
      return draw_from_ranges(counter);
    } catch (...) {
      error_ = std::current_exception();
      throw;
    }
  }

  /// Tasks drawn so far.
  [[nodiscard]] std::uint64_t drawn() const noexcept { return drawn_; }
  /// What drawing threw; null when it hasn't. Nothing is to be drawn after that.
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

 protected:
  virtual bool draw_from_ranges(PieceWriter& writer) = 0;

 private:
  class Counter final : public PieceWriter {
   public:
    Counter(PieceWriter& writer, std::uint64_t& count) : writer_(writer), count_(count) {}
    [[nodiscard]] std::uint64_t room() const override { return writer_.room(); }
    std::byte* append(std::uint64_t tasks) override {
      std::byte* const memory = writer_.append(tasks);
      count_ += tasks;
      return memory;
    }
    std::byte* append_encoded(std::size_t bytes) override {
      std::byte* const memory = writer_.append_encoded(bytes);
      ++count_;
      return memory;
    }

   private:
    PieceWriter& writer_;
    std::uint64_t& count_;
  };

  std::uint64_t drawn_ = 0;
  std::exception_ptr error_;
};

/// How many inputs to draw at a time. Nothing interrupts a round: slow inputs are drawn one by one, so that results
/// need not wait for more than one of them, and quick ones many at once, which costs less.
class RoundSize {
 public:
  using Duration = std::chrono::steady_clock::duration;
  /// What a round is to take, at most.
  static constexpr Duration target = std::chrono::milliseconds(1);

  /// @param chunk tasks that are to stay together where there is room for them.
  explicit RoundSize(std::uint64_t chunk) noexcept : least_(std::max<std::uint64_t>(chunk, 1)), tasks_(least_) {}

  /// @returns how many to draw where there is room for so many.
  [[nodiscard]] std::uint64_t within(std::uint64_t room) const noexcept { return whole_chunks(std::min(tasks_, room)); }

  /// A round of that size took so long.
  void learn(std::uint64_t tasks, Duration took) noexcept {
    if (took > target) {
      const auto slower = static_cast<std::uint64_t>(took / target);
      tasks_ = std::max(least_, whole_chunks(std::min(tasks, tasks_) / (slower + 1)));
    } else if (tasks >= tasks_ && tasks_ < most) {
      const auto faster = static_cast<std::uint64_t>(target / std::max(took, Duration(1)));
      tasks_ *= std::clamp<std::uint64_t>(faster / 2, 1, growth);
    }
  }

 private:
  static constexpr std::uint64_t growth = 16;
  /// Growth ends from here on: inputs may become slow in the middle of a round.
  static constexpr std::uint64_t most = 1024;

  [[nodiscard]] std::uint64_t whole_chunks(std::uint64_t tasks) const noexcept {
    return tasks > least_ ? tasks - tasks % least_ : tasks;
  }

  std::uint64_t least_;
  std::uint64_t tasks_;
};

/// One thread at a time reads.
template <class R>
class StreamReader {
 public:
  /// @param buffersize inputs drawn ahead of the reader, at most; not 0.
  /// @param chunk tasks that an executor takes at a time; 0: the pool decides.
  StreamReader(std::shared_ptr<StreamCall<R>> call, std::unique_ptr<StreamInputs> inputs, std::uint64_t buffersize,
               std::uint64_t chunk)
      : call_(std::move(call)),
        inputs_(std::move(inputs)),
        buffersize_(buffersize),
        round_(std::min(chunk, buffersize)) {}
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
      if (!has_drawn) draw_round(std::max<std::uint64_t>(buffersize_ / 4, 1));
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

  /// Draws some inputs, if there are any and there is room for at least so many.
  /// @returns whether it has drawn.
  bool draw_round(std::uint64_t least) {
    if (inputs_ == nullptr || inputs_->error() != nullptr) return false;
    const std::uint64_t room = buffersize_ - (inputs_->drawn() - read_);
    if (room < least) return false;
    const auto pool = call_->pool();
    if (pool == nullptr) return false;
    const std::uint64_t tasks = round_.within(room);
    const Clock::time_point begun = Clock::now();
    try {
      // The user's memory is freed as early as can be.
      if (!pool->feed(*call_, *inputs_, tasks)) inputs_.reset();
    } catch (...) {
      if (inputs_->error() == nullptr) throw;
    }
    round_.learn(tasks, Clock::now() - begun);
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
      const auto pool = call_->pool();
      if (has_drawn || pool == nullptr) continue;  // a pool that has gone since has finished the call
      if (!pool->await(news(), *deadline)) throw_late(*timeout);
    }
    return false;
  }

  /// Draws all there is room for.
  /// @returns true when it has stopped before, for there was news.
  bool draw_until_news(Deadline deadline) {
    Clock::time_point looked = Clock::now();
    while (draw_round(1)) {
      if (call_->has_news()) return true;
      const Clock::time_point now = Clock::now();
      if (now - looked > RoundSize::target) {
        if (look_for_news()) return true;
        looked = Clock::now();
      }
      if (deadline && now >= *deadline) return false;
    }
    return false;
  }

  /// Nobody else may drive the pool, or call results in that are few.
  bool look_for_news() {
    const auto pool = call_->pool();
    return pool == nullptr || pool->await(news(), Clock::now() + RoundSize::target / 10);
  }

  [[nodiscard]] Condition news() const {
    return [call = call_.get()] { return call->has_news(); };
  }

  [[noreturn]] static void throw_late(Seconds timeout) {
    std::array<char, 80> text;
    std::snprintf(text.data(), text.size(), "the next result did not come within %g s", timeout.count());
    throw TimeoutError(text.data());
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
  std::uint64_t buffersize_;
  RoundSize round_;
  std::uint64_t read_ = 0;

  std::vector<typename StreamCall<R>::Run> runs_;  ///< taken from the call
  std::size_t run_ = 0;
  std::size_t place_ = 0;  ///< in that run
  Outcome<R>* current_ = nullptr;
};

}  // namespace rankpool::detail
