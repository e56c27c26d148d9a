/// @file
/// The seam between the templates users instantiate and the compiled library: a call with its types erased.
///
///   InputSource ──draw──► PieceWriter ══ channel ══► Chunk ──Kernel::run──► ResultWriter ══ channel ══► ResultSink
///   (caller)               (caller)                 (executor)              (executor)                   (caller)
///
/// Inputs travel in *pieces* (many encoded tasks in one block); executors claim *chunks* of a piece; results come back
/// as runs of consecutive tasks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <optional>
#include <span>
#include <string>
#include <typeinfo>

#include <rankpool/export.hpp>

namespace rankpool::detail {

using Bytes = std::span<const std::byte>;

/// Takes the encoded inputs of a call, task by task. The library implements it.
class PieceWriter {
 public:
  PieceWriter() = default;
  PieceWriter(const PieceWriter&) = delete;
  PieceWriter& operator=(const PieceWriter&) = delete;
  virtual ~PieceWriter() = default;

  /// Tasks of the call's fixed stride that may be written in one go now; 0 when enough is drawn for the moment.
  [[nodiscard]] virtual std::uint64_t room() const = 0;

  /// Memory for `tasks` (≤ room()) tasks of the call's stride; to be filled before the next call of the writer.
  virtual std::byte* append(std::uint64_t tasks) = 0;

  /// Memory for one task of `bytes` encoded bytes (calls of variable stride); any size.
  virtual std::byte* append_encoded(std::size_t bytes) = 0;
};

/// A call's inputs, drawn lazily in the caller's thread.
class InputSource {
 public:
  InputSource() = default;
  InputSource(const InputSource&) = delete;
  InputSource& operator=(const InputSource&) = delete;
  virtual ~InputSource() = default;

  /// Encodes tasks into `writer` while `writer.room()` is above 0.
  /// @returns true while inputs are left. May throw what the user's range or `serialize` throws: all that was appended
  /// before stands.
  virtual bool draw(PieceWriter& writer) = 0;

  /// Number of tasks, where the range tells.
  [[nodiscard]] virtual std::optional<std::uint64_t> size() const = 0;
};

/// Where a call's results go; called in the thread that drives the engine, each task exactly once.
class ResultSink {
 public:
  ResultSink() = default;
  ResultSink(const ResultSink&) = delete;
  ResultSink& operator=(const ResultSink&) = delete;
  virtual ~ResultSink() = default;

  /// Room for tasks up to `tasks` is needed (inputs drawn so far).
  virtual void expect(std::uint64_t tasks) = 0;

  /// The results of tasks [first, first + count), encoded one after the other as Kernel::result_stride says.
  /// What the user's own deserialization throws is stored as the task's error, not thrown.
  virtual void values(std::uint64_t first, std::uint64_t count, Bytes encoded) = 0;

  /// A task that ended without a result.
  virtual void error(std::uint64_t task, std::exception_ptr error) = 0;
};

/// Where an executor puts results: an open run of consecutive tasks in memory that outlives a crash of the executor.
/// reserve() and commit() are on every task's path and therefore inline.
class ResultWriter {
 public:
  ResultWriter() = default;
  ResultWriter(const ResultWriter&) = delete;
  ResultWriter& operator=(const ResultWriter&) = delete;
  virtual ~ResultWriter() = default;

  /// Memory for the running task's result of `bytes` bytes.
  std::byte* reserve(std::size_t bytes) {
    if (bytes > static_cast<std::size_t>(limit_ - cursor_)) [[unlikely]]
      make_room(bytes);
    return cursor_;
  }

  /// The running task has ended and its result fills the first `bytes` reserved bytes. From here on a crash of the
  /// executor cannot lose it.
  void commit(std::size_t bytes) {
    cursor_ += bytes;
    // One writer; the host reads this when the executor has died.
    finished_->store(finished_->load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  /// Tasks of the chunk, from its first on, that are to be run here: fewer than it had when others were given the rest.
  [[nodiscard]] std::uint64_t tasks() const { return tasks_; }

  /// Index in the call of the task that runs now.
  [[nodiscard]] std::uint64_t running_task() const { return run_first_ + finished_->load(std::memory_order_relaxed); }

  /// Between two tasks: does what the last one has left to be done.
  void end_task() {
    if (task_leaves_something_) [[unlikely]]
      tidy_up();
  }

  /// The running task has ended with the exception being handled; call it inside a catch block.
  virtual void fail() = 0;

  /// The same, for a result that could not be encoded: becomes a SerializationError.
  virtual void fail_encoding() = 0;

 protected:
  /// Closes the open run and starts a new one with room for `bytes`.
  virtual void make_room(std::size_t bytes) = 0;
  virtual void tidy_up() {}

  template <std::size_t stride>
  friend class FixedResults;

  std::byte* cursor_ = nullptr;
  std::byte* limit_ = nullptr;
  std::uint64_t run_first_ = 0;                     ///< index of the open run's first task
  std::atomic<std::uint64_t>* finished_ = nullptr;  ///< tasks of the open run that have ended
  std::uint64_t tasks_ = ~std::uint64_t{0};         ///< see tasks()
  std::uint64_t row_end_ = 0;                       ///< *finished_ with which FixedResults end
  bool task_leaves_something_ = false;              ///< see end_task()
};

/// Results of one size, as many as there is room for, at least one. While it lives nothing else is done with the
/// writer, except that others are given the rest: places and numbers are reckoned from registers, where going through
/// the writer's members for each task would make it wait for the one before.
/// @tparam stride bytes of a result, few enough for any run.
template <std::size_t stride>
class FixedResults {
 public:
  /// @param most that may come, at least one.
  FixedResults(ResultWriter& writer, std::uint64_t most)
      : writer_(writer),
        begin_(writer.reserve(stride)),
        finished_(writer.finished_),
        before_(finished_->load(std::memory_order_relaxed)) {
    std::uint64_t room = most;
    if constexpr (stride != 0) {
      const std::uint64_t fit = static_cast<std::uint64_t>(writer.limit_ - begin_) / stride;
      if (fit < most) room = fit;
    }
    writer.row_end_ = before_ + room;
  }
  FixedResults(const FixedResults&) = delete;
  FixedResults& operator=(const FixedResults&) = delete;
  ~FixedResults() { writer_.cursor_ = place(finished_->load(std::memory_order_relaxed) - before_); }

  /// Where the i-th result goes.
  [[nodiscard]] std::byte* place(std::uint64_t i) const { return begin_ + i * stride; }
  /// As ResultWriter::commit(), for the i-th result after those before it.
  /// @returns whether another may come here: none when others were given the rest, or the room is used up.
  [[nodiscard]] bool commit(std::uint64_t i) {
    const std::uint64_t finished = before_ + i + 1;
    finished_->store(finished, std::memory_order_release);
    return finished != writer_.row_end_;
  }

 private:
  ResultWriter& writer_;
  std::byte* begin_;
  std::atomic<std::uint64_t>* finished_;
  std::uint64_t before_;
};

/// One chunk as its kernel sees it.
struct Chunk {
  const std::byte* inputs = nullptr;       ///< fixed stride: the first task's bytes; else the piece's bytes
  std::size_t stride = 0;                  ///< bytes per task; variable when `offsets` is set
  const std::uint64_t* offsets = nullptr;  ///< count + 1 offsets into `inputs`, or null
  std::uint64_t count = 0;
  ResultWriter* results = nullptr;

  /// Encoded arguments of the chunk's i-th task.
  [[nodiscard]] Bytes input(std::uint64_t i) const {
    if (offsets != nullptr) return {inputs + offsets[i], offsets[i + 1] - offsets[i]};
    return {inputs + i * stride, stride};
  }
};

/// What an executor does for one kind of call. Each instantiation of the templates is one static object, and the
/// object's address, as {module, offset}, is what travels.
struct Kernel {
  /// Makes the callable from its encoded state; throws what its deserialization throws.
  void* (*load)(Bytes state);
  void (*unload)(void* callable) noexcept;
  /// Runs every task of the chunk; exceptions of tasks go to the writer, none leaves.
  void (*run)(void* callable, const Chunk& chunk);
  /// Bytes per encoded result where fixed; `variable_stride` when each result has its length before it.
  std::size_t result_stride;
  /// Of the result as it travels.
  const std::type_info* result_type;
};

inline constexpr std::size_t variable_stride = static_cast<std::size_t>(-1);

/// Lets one byte travel when a callable or an argument list has no state.
inline constexpr std::size_t empty_stride = 0;

}  // namespace rankpool::detail
