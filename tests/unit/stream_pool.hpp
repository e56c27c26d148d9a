/// @file
/// A pool for tests of streams: tasks run in this process, through the same bytes as in a real pool, one chunk at a
/// time and in an order that the test chooses; in the thread that waits, or in one of the test's own.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/call_spec.hpp>
#include <rankpool/errors.hpp>
#include <rankpool/options.hpp>

#include "heap_memory.hpp"

namespace rankpool::test {

/// Which of a number of waiting chunks, the oldest first, is the next to run.
using Choice = std::function<std::size_t(std::size_t waiting)>;
inline Choice oldest_first() {
  return [](std::size_t /*waiting*/) { return std::size_t{0}; };
}
inline Choice newest_first() {
  return [](std::size_t waiting) { return waiting - 1; };
}
inline Choice shuffled(unsigned seed) {
  return [random = std::mt19937(seed)](std::size_t waiting) mutable {
    return std::uniform_int_distribution<std::size_t>(0, waiting - 1)(random);
  };
}

/// Who runs the tasks.
enum class Driver : std::uint8_t {
  waiter,   ///< who waits; time passes at once when there is nothing to run
  another,  ///< a thread of the test's, by step()
};

/// Its chunks are of MapOptions::chunksize, by default 1.
class StreamPool final : public detail::PoolCore, public detail::AsyncCore {
 public:
  explicit StreamPool(Choice choice = oldest_first(), Driver driver = Driver::waiter)
      : choice_(std::move(choice)), driver_(driver) {}

  // --- for tests ----------------------------------------------------------------------------------------------------

  /// Runs a chunk and delivers its results. @returns false when none may run.
  bool step() {
    std::shared_ptr<Open> ended;
    {
      const std::lock_guard lock(mutex_);
      const auto beyond = std::find_if(waiting_.begin(), waiting_.end(),
                                       [this](const Waiting& chunk) { return chunk.first >= allowed_; });
      if (beyond == waiting_.begin()) return false;
      const auto at =
          waiting_.begin() + static_cast<std::ptrdiff_t>(choice_(static_cast<std::size_t>(beyond - waiting_.begin())));
      const Waiting chosen = std::move(*at);
      waiting_.erase(at);
      run_chunk(chosen);
      if (chosen.of->is_over()) ended = chosen.of;
    }
    changed_.notify_all();
    if (ended != nullptr) end(*ended, nullptr);
    return true;
  }

  /// Chunks that begin with this task or a later one don't run yet.
  void allow_below(std::uint64_t task) {
    const std::lock_guard lock(mutex_);
    allowed_ = task;
  }

  /// Ends every call early.
  void end_all(const std::exception_ptr& failure) {
    std::vector<std::shared_ptr<Open>> ended;
    {
      const std::lock_guard lock(mutex_);
      ended = open_;
    }
    for (const auto& call : ended) end(*call, failure);
  }

  /// The next calls of feed() throw std::logic_error, as where the pool must not be used.
  void refuse_feeding(bool refuse) { refuses_ = refuse; }

  /// How many tasks each feed() was asked for.
  [[nodiscard]] const std::vector<std::uint64_t>& feeds() const { return feeds_; }
  [[nodiscard]] int drops() const { return drops_; }
  [[nodiscard]] std::optional<std::uint64_t> total() const { return total_; }
  [[nodiscard]] std::size_t waiting_chunks() const {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }

  // --- the pool -----------------------------------------------------------------------------------------------------

  void run(const detail::CallSpec& /*spec*/, detail::InputSource& /*source*/, detail::ResultSink& /*sink*/) override {
    throw std::logic_error("this pool has streams only");
  }

  void start(const detail::CallSpec& spec, std::optional<std::uint64_t> total,
             std::shared_ptr<detail::AsyncCall> call) override {
    const std::lock_guard lock(mutex_);
    if (state_ != PoolState::running) throw PoolClosed();
    total_ = total;
    call->start(weak_from_this(), ++calls_);
    open_.push_back(std::make_shared<Open>(spec, std::move(call)));
  }

  bool feed(detail::AsyncCall& call, detail::InputSource& source, std::uint64_t most) override {
    if (refuses_) throw std::logic_error("not here");
    const std::shared_ptr<Open> open = find(call);
    if (open == nullptr || open->drained) return false;
    feeds_.push_back(most);
    auto piece = std::make_shared<HeapPiece>(open->stride, most);
    bool more = false;
    std::exception_ptr thrown;
    try {
      more = source.draw(*piece);
    } catch (...) {
      thrown = std::current_exception();
    }
    bool over = false;
    {
      const std::lock_guard lock(mutex_);
      if (open->call == nullptr) return false;
      for (std::uint64_t i = 0; i < piece->tasks(); i += open->chunksize) {
        const std::uint64_t count = std::min(open->chunksize, piece->tasks() - i);
        waiting_.push_back({open, piece, i, open->drawn, count});
        open->drawn += count;
      }
      open->drained = !more;
      over = open->is_over();
    }
    changed_.notify_all();
    if (over) end(*open, nullptr);
    if (thrown != nullptr) std::rethrow_exception(thrown);
    return more;
  }

  [[nodiscard]] bool delivers_here() const noexcept override { return false; }
  detail::SharedHandle make_object(const detail::SharedSpec&) override { return {}; }
  void check_may_wait() const override {}

  bool await(const detail::Condition& condition, detail::Deadline deadline) override {
    if (driver_ == Driver::waiter) {
      while (!holds(condition)) {
        if (step()) continue;
        if (!deadline) throw std::logic_error("this would wait for ever");
        return false;
      }
      return true;
    }
    std::unique_lock lock(mutex_);
    if (deadline) return changed_.wait_until(lock, *deadline, condition);
    changed_.wait(lock, condition);
    return true;
  }

  bool cancel(detail::AsyncCall& call) override {
    drop(call);
    return true;
  }

  void drop(detail::AsyncCall& call) noexcept override {
    ++drops_;
    if (const auto open = find(call)) end(*open, std::make_exception_ptr(CancelledError("dropped")));
  }

  [[nodiscard]] bool running(const detail::AsyncCall& /*call*/) override { return false; }

  void close() override { state_ = PoolState::closed; }
  void join() override {
    while (driver_ == Driver::waiter && step()) {
    }
  }
  void terminate() override {
    state_ = PoolState::terminated;
    end_all(std::make_exception_ptr(CancelledError("the pool was terminated")));
  }
  void cancel_pending() override { end_all(std::make_exception_ptr(CancelledError("the pool was shut down"))); }
  [[nodiscard]] int processes() const override { return 2; }
  [[nodiscard]] PoolState state() const override { return state_; }
  [[nodiscard]] std::string name() const override { return "streams"; }

 private:
  struct Open {
    Open(const detail::CallSpec& spec, std::shared_ptr<detail::AsyncCall> handle)
        : call(std::move(handle)),
          kernel(spec.kernel),
          stride(spec.input_stride),
          chunksize(std::max<std::uint64_t>(spec.chunksize, 1)),
          callable(spec.kernel->load(spec.callable.bytes()), spec.kernel->unload) {}

    [[nodiscard]] bool is_over() const { return call != nullptr && drained && settled == drawn; }

    std::shared_ptr<detail::AsyncCall> call;  ///< null when it has ended
    const detail::Kernel* kernel;
    std::size_t stride;
    std::uint64_t chunksize;
    std::unique_ptr<void, void (*)(void*)> callable;
    std::uint64_t drawn = 0;
    std::uint64_t settled = 0;
    bool drained = false;
  };

  struct Waiting {
    std::shared_ptr<Open> of;
    std::shared_ptr<HeapPiece> piece;
    std::uint64_t place = 0;  ///< in the piece
    std::uint64_t first = 0;  ///< in the call
    std::uint64_t count = 0;
  };

  void run_chunk(const Waiting& waiting) {
    HeapResults results(waiting.first);
    detail::Chunk chunk = waiting.piece->chunk(waiting.place, waiting.count);
    chunk.results = &results;
    waiting.of->kernel->run(waiting.of->callable.get(), chunk);
    results.deliver(waiting.of->call->sink());
    waiting.of->settled += waiting.count;
  }

  void end(Open& open, std::exception_ptr failure) {
    std::shared_ptr<detail::AsyncCall> call;
    {
      const std::lock_guard lock(mutex_);
      call.swap(open.call);
      std::erase_if(waiting_, [&](const Waiting& chunk) { return chunk.of.get() == &open; });
      std::erase_if(open_, [&](const auto& other) { return other.get() == &open; });
    }
    if (call == nullptr) return;
    call->finish(std::move(failure));
    call->call_back();
    call->set_done();
    // So that who has just found its condition false is asleep by now.
    { const std::lock_guard lock(mutex_); }
    changed_.notify_all();
  }

  std::shared_ptr<Open> find(const detail::AsyncCall& call) {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::find_if(open_.begin(), open_.end(), [&](const auto& open) { return open->call.get() == &call; });
    return found == open_.end() ? nullptr : *found;
  }

  bool holds(const detail::Condition& condition) {
    const std::lock_guard lock(mutex_);
    return condition();
  }

  Choice choice_;
  const Driver driver_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Open>> open_;
  std::deque<Waiting> waiting_;
  std::uint64_t allowed_ = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t calls_ = 0;
  std::optional<std::uint64_t> total_;
  std::vector<std::uint64_t> feeds_;
  int drops_ = 0;
  bool refuses_ = false;
  PoolState state_ = PoolState::running;
};

}  // namespace rankpool::test
