/// @file
/// A pool without executors: every call runs in this thread, but through the same bytes as in a real pool. A call that
/// nobody waits for runs as its inputs are fed.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/call_spec.hpp>
#include <rankpool/errors.hpp>
#include <rankpool/options.hpp>

namespace rankpool::test {

using Memory = std::vector<std::byte>;

/// One piece of a call's inputs on the heap.
class HeapPiece final : public detail::PieceWriter {
 public:
  HeapPiece(std::size_t stride, std::uint64_t capacity) : stride_(stride), capacity_(capacity) {
    if (stride_ != detail::variable_stride) inputs_.reserve(static_cast<std::size_t>(capacity) * stride_);
  }

  [[nodiscard]] std::uint64_t room() const override { return capacity_ - tasks_; }

  std::byte* append(std::uint64_t tasks) override {
    if (tasks > room()) throw std::logic_error("more tasks appended than there was room for");
    tasks_ += tasks;
    return grow(static_cast<std::size_t>(tasks) * stride_);
  }

  std::byte* append_encoded(std::size_t bytes) override {
    ++tasks_;
    std::byte* room = grow(bytes);
    offsets_.push_back(inputs_.size());
    return room;
  }

  [[nodiscard]] std::uint64_t tasks() const { return tasks_; }

  /// Tasks [first, first + count) as an executor gets them.
  [[nodiscard]] detail::Chunk chunk(std::uint64_t first, std::uint64_t count) const {
    detail::Chunk chunk;
    chunk.count = count;
    chunk.inputs = inputs_.data();
    if (stride_ == detail::variable_stride) {
      chunk.offsets = offsets_.data() + first;
    } else {
      chunk.stride = stride_;
      chunk.inputs += first * stride_;
    }
    return chunk;
  }

 private:
  std::byte* grow(std::size_t bytes) {
    const std::size_t size = inputs_.size();
    inputs_.resize(size + bytes);
    return inputs_.data() + size;
  }

  std::size_t stride_;
  std::uint64_t capacity_;
  std::uint64_t tasks_ = 0;
  Memory inputs_;
  std::vector<std::uint64_t> offsets_{0};
};

/// Results of a chunk on the heap, as runs between failures.
class HeapResults final : public detail::ResultWriter {
 public:
  struct Run {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    Memory bytes;
  };
  struct Failure {
    std::uint64_t task;
    std::exception_ptr error;
  };

  explicit HeapResults(std::uint64_t first) {
    run_first_ = first;
    finished_ = &count_;
  }

  void fail() override { add_failure(std::current_exception()); }

  void fail_encoding() override {
    add_failure(std::make_exception_ptr(
        SerializationError("rankpool: the result can't be serialized: " + detail::text_of(std::current_exception()))));
  }

  void deliver(detail::ResultSink& sink) {
    close_run();
    for (const Run& run : runs_) sink.values(run.first, run.count, run.bytes);
    for (Failure& failure : failures_) sink.error(failure.task, std::move(failure.error));
  }

  [[nodiscard]] std::uint64_t finished() const { return count_; }

 private:
  void make_room(std::size_t bytes) override {
    close_run();
    memory_.resize(std::max<std::size_t>(bytes, 256));
    cursor_ = memory_.data();
    limit_ = cursor_ + memory_.size();
  }

  void add_failure(std::exception_ptr error) {
    close_run();
    failures_.push_back({run_first_, std::move(error)});
    ++run_first_;
  }

  void close_run() {
    const std::uint64_t count = count_.exchange(0);
    if (count != 0) runs_.push_back({run_first_, count, Memory(memory_.data(), cursor_)});
    run_first_ += count;
    cursor_ = memory_.data();
  }

  std::atomic<std::uint64_t> count_{0};
  Memory memory_;
  std::vector<Run> runs_;
  std::vector<Failure> failures_;
};

/// What a runner was asked to do, for tests to look at.
struct Seen {
  std::optional<detail::CallSpec> spec;  ///< of the last call, without its callable
  std::optional<std::uint64_t> size;     ///< what its source told
  std::uint64_t tasks = 0;               ///< drawn in that call
  std::vector<std::string> life;         ///< close, join, terminate, cancel_pending in their order
};

/// @see the file's description. Like a real pool it draws in pieces; unlike one it can deliver in reverse order: calls
/// that nobody waits for then get their results when their input has ended, or somebody waits.
class SerialRunner final : public detail::PoolCore {
 public:
  explicit SerialRunner(std::shared_ptr<Seen> seen = std::make_shared<Seen>(), bool reversed = false,
                        std::uint64_t piece_tasks = 1000)
      : seen_(std::move(seen)), reversed_(reversed), piece_tasks_(piece_tasks) {}

  void run(const detail::CallSpec& spec, detail::InputSource& source, detail::ResultSink& sink) override {
    if (state_ != PoolState::running) throw PoolClosed();
    note(spec, source.size());
    const Callable callable = load(spec);
    Chunks chunks;
    for (bool more = true; more;) {
      HeapPiece piece(spec.input_stride, piece_tasks_);
      more = source.draw(piece);
      run_piece({spec.kernel, callable.get(), spec.chunksize}, seen_->tasks, piece, chunks);
      seen_->tasks += piece.tasks();
      sink.expect(seen_->tasks);
    }
    deliver(chunks, sink);
  }

  void start(const detail::CallSpec& spec, std::optional<std::uint64_t> total,
             std::shared_ptr<detail::AsyncCall> call) override {
    if (state_ != PoolState::running) throw PoolClosed();
    note(spec, total);
    call->start(weak_from_this(), ++last_id_);
    open_.emplace(last_id_, Open{std::move(call), spec.kernel, load(spec), spec.chunksize, spec.input_stride, 0, {}});
  }

  bool feed(detail::AsyncCall& call, detail::InputSource& source, std::uint64_t most) override {
    const auto found = open_.find(call.id());
    if (found == open_.end()) return false;
    Open& open = found->second;
    HeapPiece piece(open.stride, std::min(most, piece_tasks_));
    bool more = false;
    std::exception_ptr thrown;
    try {
      more = source.draw(piece);
    } catch (...) {
      thrown = std::current_exception();
    }
    run_piece({open.kernel, open.callable.get(), open.chunksize}, open.tasks, piece, open.results);
    open.tasks += piece.tasks();
    seen_->tasks = open.tasks;
    open.call->sink().expect(open.tasks);
    if (!reversed_) deliver(open.results, open.call->sink());
    if (!more) end(call.id(), nullptr);
    if (thrown != nullptr) std::rethrow_exception(thrown);
    return more;
  }

  bool await(const detail::Condition& condition, detail::Deadline deadline) override {
    if (condition()) return true;
    for (auto& [id, open] : open_) deliver(open.results, open.call->sink());
    if (condition()) return true;
    if (!deadline) throw std::logic_error("all has run, and nothing will make the condition true");
    std::this_thread::sleep_until(*deadline);
    return false;
  }

  bool cancel(detail::AsyncCall& call) override {
    if (open_.contains(call.id())) {
      call.set_cancelled();
      end(call.id(), std::make_exception_ptr(CancelledError("the call was cancelled")));
    }
    return call.was_cancelled();
  }

  void drop(detail::AsyncCall& call) noexcept override { cancel(call); }

  [[nodiscard]] bool running(const detail::AsyncCall& call) override { return open_.contains(call.id()); }

  void close() override {
    seen_->life.emplace_back("close");
    if (state_ == PoolState::running) state_ = PoolState::closed;
  }
  void join() override {
    seen_->life.emplace_back("join");
    if (state_ == PoolState::running) throw std::logic_error("the pool is still running");
  }
  void terminate() override {
    seen_->life.emplace_back("terminate");
    state_ = PoolState::terminated;
  }
  void cancel_pending() override { seen_->life.emplace_back("cancel_pending"); }

  [[nodiscard]] int processes() const override { return 1; }
  [[nodiscard]] PoolState state() const override { return state_; }
  [[nodiscard]] std::string name() const override { return "serial"; }

 private:
  using Callable = std::unique_ptr<void, void (*)(void*)>;
  using Chunks = std::vector<std::unique_ptr<HeapResults>>;

  /// A call whose inputs have not ended.
  struct Open {
    std::shared_ptr<detail::AsyncCall> call;
    const detail::Kernel* kernel;
    Callable callable;
    std::uint64_t chunksize;
    std::size_t stride;
    std::uint64_t tasks;
    Chunks results;  ///< not delivered yet
  };

  static Callable load(const detail::CallSpec& spec) {
    return {spec.kernel->load(spec.callable.bytes()), spec.kernel->unload};
  }

  void note(const detail::CallSpec& spec, std::optional<std::uint64_t> size) {
    detail::CallSpec copy;
    copy.kernel = spec.kernel;
    copy.input_stride = spec.input_stride;
    copy.chunksize = spec.chunksize;
    copy.max_attempts = spec.max_attempts;
    copy.schedule = spec.schedule;
    copy.timeout = spec.timeout;
    copy.what = spec.what;
    seen_->spec = std::move(copy);
    seen_->size = size;
    seen_->tasks = 0;
  }

  /// What runs a call's tasks.
  struct Work {
    const detail::Kernel* kernel;
    void* callable;
    std::uint64_t chunksize;
  };

  /// @param tasks of the call that came before the piece.
  static void run_piece(const Work& work, std::uint64_t tasks, const HeapPiece& piece, Chunks& chunks) {
    const std::uint64_t chunksize = std::max<std::uint64_t>(work.chunksize, 1);
    for (std::uint64_t first = 0; first < piece.tasks(); first += chunksize) {
      detail::Chunk chunk = piece.chunk(first, std::min(chunksize, piece.tasks() - first));
      auto results = std::make_unique<HeapResults>(tasks + first);
      chunk.results = results.get();
      work.kernel->run(work.callable, chunk);
      chunks.push_back(std::move(results));
    }
  }

  void deliver(Chunks& chunks, detail::ResultSink& sink) const {
    if (reversed_) std::reverse(chunks.begin(), chunks.end());
    for (const auto& chunk : std::exchange(chunks, {})) chunk->deliver(sink);
  }

  void end(std::uint64_t id, std::exception_ptr failure) {
    auto ended = open_.extract(id);
    Open& open = ended.mapped();
    if (failure == nullptr) deliver(open.results, open.call->sink());
    open.call->finish(std::move(failure));
    open.call->call_back();
    open.call->set_done();
  }

  std::shared_ptr<Seen> seen_;
  bool reversed_;
  std::uint64_t piece_tasks_;
  PoolState state_ = PoolState::running;
  std::map<std::uint64_t, Open> open_;
  std::uint64_t last_id_ = 0;
};

}  // namespace rankpool::test
