/// @file
/// A pool without executors: every call runs in this thread, but through the same bytes as in a real pool. A call that
/// nobody waits for runs as its inputs are fed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <rankpool/rankpool.hpp>

#include "heap_memory.hpp"

namespace rankpool::test {

/// What a runner was asked to do, for tests to look at.
struct Seen {
  std::optional<detail::CallSpec> spec;  ///< of the last call, without its callable
  std::optional<std::uint64_t> size;     ///< what its source told
  std::uint64_t tasks = 0;               ///< drawn in that call
  std::vector<std::string> life;         ///< close, join, terminate, cancel_pending in their order
};

/// @see the file's description. Like a real pool it draws in pieces; unlike one it can deliver in reverse order: calls
/// that nobody waits for then get their results when their input has ended, or somebody waits.
class SerialRunner final : public detail::PoolCore, public detail::AsyncCore {
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

  [[nodiscard]] bool delivers_here() const noexcept override { return false; }
  detail::SharedHandle make_object(const detail::SharedSpec&) override { return {}; }
  void check_may_wait() const override {}

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

inline Pool serial_pool() { return Pool(std::make_shared<SerialRunner>()); }
inline Pool small_pieces() { return Pool(std::make_shared<SerialRunner>(std::make_shared<Seen>(), false, 3)); }
inline Pool reversed_pool(std::uint64_t piece_tasks = 1000) {
  return Pool(std::make_shared<SerialRunner>(std::make_shared<Seen>(), true, piece_tasks));
}

}  // namespace rankpool::test
