/// @file
/// The reading end of a stream: draws inputs a bounded number ahead of what is read, and waits for results.
///
///   StreamInputs ──feed()──► PoolCore ──► executors ──► StreamCall ──take()──► StreamReader ──► ResultStream
///        ▲                                                                         │
///        └────────────────── refill: drawn - read <= buffersize ───────────────────┘
#pragma once

#include <algorithm>
#include <array>
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

/// One thread at a time reads.
template <class R>
class StreamReader {
 public:
  /// @param buffersize inputs drawn ahead of the reader, at most; not 0.
  StreamReader(std::shared_ptr<StreamCall<R>> call, std::unique_ptr<StreamInputs> inputs, std::uint64_t buffersize)
      : call_(std::move(call)), inputs_(std::move(inputs)), buffersize_(buffersize) {}
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  ~StreamReader() {
    if (at_end()) return;
    call_->abandon();
    if (call_->done()) return;
    if (const auto pool = call_->pool()) pool->drop(*call_);
  }

  /// Draws what may be drawn, if that is at least so much.
  /// @throws what the pool has against being called here; what the inputs throw comes in its place in the stream.
  void refill(std::uint64_t least) {
    if (inputs_ == nullptr || inputs_->error() != nullptr) return;
    const std::uint64_t room = buffersize_ - (inputs_->drawn() - read_);
    if (room < least) return;
    const auto pool = call_->pool();
    if (pool == nullptr) return;
    try {
      // The user's memory is freed as early as can be.
      if (!pool->feed(*call_, *inputs_, room)) inputs_.reset();
    } catch (...) {
      if (inputs_->error() == nullptr) throw;
    }
  }

  /// Goes on to the next item, whose place is taken by what became of its task.
  /// @param timeout to wait at most; empty: no limit.
  /// @returns false at the end.
  /// @throws TimeoutError, what the inputs threw, why the call ended early; the stream goes on after each.
  bool advance(std::optional<Seconds> timeout) {
    release();
    if (run_ == runs_.size() && !fetch(timeout)) return false;
    // Before the item is handed over, so that executors work while the user looks at it, and so that none is lost
    // where this throws. Not for each item: a piece is to have several tasks.
    ++read_;
    try {
      refill(std::max<std::uint64_t>(buffersize_ / 4, 1));
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

  /// Waits for items. @returns false at the end.
  bool fetch(std::optional<Seconds> timeout) {
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
      refill(1);
      const auto pool = call_->pool();
      if (pool == nullptr) continue;  // it has gone since, and has finished the call
      if (!pool->await([call = call_.get()] { return call->has_news(); }, *deadline)) throw_late(*timeout);
    }
    return false;
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
  std::uint64_t read_ = 0;

  std::vector<typename StreamCall<R>::Run> runs_;  ///< taken from the call
  std::size_t run_ = 0;
  std::size_t place_ = 0;  ///< in that run
  Outcome<R>* current_ = nullptr;
};

}  // namespace rankpool::detail
