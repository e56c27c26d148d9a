/// @file
/// The options of pools and calls. They are aggregates, used with designated initialisers the way Python uses
/// keywords: `pool.map(f, xs, {.chunksize = 50, .timeout = 2s})`. All of them are plain value types: const members may
/// be called from several threads at once, and a call only reads the options it is given.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <rankpool/export.hpp>

namespace rankpool {

namespace detail {
struct Kernel;
}

/// A count made from any integer type without a narrowing warning; 0 means "automatic".
/// @throws std::invalid_argument when a negative number is given; the pool adds the option's name to the message.
class Count {
 public:
  /// 0: automatic.
  constexpr Count() = default;

  // NOLINTBEGIN(google-explicit-constructor): options read like Python's keywords
  /// @param count any integer but a bool; a negative one is refused where it is used.
  template <std::integral Integer>
  requires(!std::same_as<Integer, bool>) constexpr Count(Integer count)
      : negative_(count < 0), value_(negative_ ? magnitude(count) : static_cast<std::uint64_t>(count)) {}
  // NOLINTEND(google-explicit-constructor)

  /// @returns the count; 0 for automatic.
  /// @param option the option's name, for the message.
  /// @param rule what it says of the option.
  /// @throws std::invalid_argument naming option and value when the count is negative.
  [[nodiscard]] constexpr std::uint64_t value(const char* option,
                                              const char* rule = "must be 0 (automatic) or positive") const {
    if (negative_) {
      throw std::invalid_argument(std::string(option) + ' ' + rule + ", not -" + std::to_string(value_));
    }
    return value_;
  }

 private:
  template <std::integral Integer>
  static constexpr std::uint64_t magnitude(Integer count) {
    return std::uint64_t{0} - static_cast<std::uint64_t>(count);
  }

  bool negative_ = false;
  std::uint64_t value_ = 0;
};

/// A duration option: `2s`, `100ms` and `2.5s` all work.
using Seconds = std::chrono::duration<double>;

/// How a call's tasks are dealt to the executors in chunks. The names are those of the self-scheduling literature
/// and of OpenMP's `schedule` clause. Python: none, where `chunksize` alone decides.
enum class Schedule : std::uint8_t {
  automatic,  ///< measured: chunks long enough to hide the dispatch, shrinking towards the end
  static_,    ///< one equal chunk per executor
  dynamic,    ///< chunks of `chunksize` (default 1), taken as executors become free
  guided,     ///< chunks of remaining / executors, never under `chunksize`
  factoring,  ///< batches of equal chunks, each batch half of what remains
};

/// What every executor runs before its first task, a replaced one too: any callable without arguments that travels,
/// such as a function, a lambda or `rankpool::bind(setup, config)`. What it returns is dropped. Where it throws or
/// crashes the pool is broken: pending and later calls throw BrokenPool with its text.
class Initializer {
 public:
  /// Nothing to run.
  Initializer() = default;

  /// Encodes the callable at once; needs <rankpool/rankpool.hpp>.
  /// @throws PointerCapture, or what the serialization of the callable throws.
  template <class F>
  requires(!std::same_as<F, Initializer>)
      Initializer(const F& callable);  // NOLINT(google-explicit-constructor): options read like Python's keywords

  /// @returns whether there is nothing to run.
  [[nodiscard]] bool empty() const noexcept { return kernel_ == nullptr; }
  /// @returns the code that loads and runs it; null when empty.
  [[nodiscard]] const detail::Kernel* kernel() const noexcept { return kernel_; }
  /// @returns the callable's encoded state.
  [[nodiscard]] const std::vector<std::byte>& callable() const noexcept { return callable_; }

 private:
  const detail::Kernel* kernel_ = nullptr;
  std::vector<std::byte> callable_;
};

/// Options of a pool. Mirrors the arguments of `multiprocessing.Pool` and `ProcessPoolExecutor`. Where one is not
/// given, its `RANKPOOL_...` variable counts; under MPI the root's options are everyone's.
struct PoolOptions {
  /// In a job of a batch system: time before the job's end, in seconds, in which no task is started any more. In its
  /// first half tasks that run may finish; then they are asked to stop (this_task::stop_requested()), and in its last
  /// quarter calls end in JobEnding. A program of run() ends then, with status 75, by itself or in the last sixteenth.
  /// Not given: 30 s; 0: none. When the job ends is asked of Slurm once, or given by RANKPOOL_END_TIME. SIGTERM and
  /// SIGUSR1 do the same within a second, where run() was called; Pool::open() leaves signals to the program.
  /// Python: none.
  std::optional<Seconds> grace = {};
  /// Runs in every executor before its first task. Killed by SIGKILL or SIGTERM in it, an executor is replaced, up to
  /// five times in a row; what it throws, and any other end, breaks the pool (BrokenPool). Python: `initializer`, with
  /// `bind` in place of `initargs`.
  Initializer initializer = {};
  /// How often a task whose executor died is tried in all; 0: 3 times. 1: at most once. Exceptions are never retried.
  Count max_attempts = {};
  /// Tasks after which an executor is replaced by a fresh one; 0: never. Python: `maxtasksperchild`.
  Count max_tasks_per_child = {};
  /// Bytes that an executor may allocate beyond what the program held when its executors were forked; at least 2^20, 0:
  /// no limit. What a task asks for beyond that is its std::bad_alloc, or WorkerLost with the limit in its text where
  /// nobody looks at the failure (`malloc`, a `noexcept` function). The executor serves on; where the task has kept the
  /// memory, a fresh one takes its place. Counted is private writable
  /// memory, touched or not: heap, private mappings, stacks of threads the task starts (8 MB each as a rule). Not
  /// counted are the main stack, and inputs and results as long as they are in the pool's shared memory. It is the
  /// process's soft RLIMIT_DATA, never above the one the program was started with; a process that a task starts has it
  /// too, for itself. With RANKPOOL_INLINE=1 there is no limit. Python: none, there `resource.setrlimit` in the
  /// initializer.
  Count memory_limit = {};
  /// The pool's name in messages.
  std::string name = {};
  /// Executors in all, on all hosts; 0: one per CPU that is available. Python: `processes`, `max_workers`.
  Count processes = {};
  /// Seed of this_task::rng(). The same seed gives the same numbers, whatever runs the tasks; 0: as RANKPOOL_SEED has
  /// it, or 0 itself, so that a program gives the same results each time it is run. Python: none.
  Count seed = {};
  /// Time one task may take, in seconds, waiting for shared objects included; above 0; not given: no limit. A task that
  /// takes longer ends in TaskTimeout: its executor is killed and replaced, never before the time has passed and as a
  /// rule at most a quarter of it or 0.1 s after, whichever is less. It is not tried again, and no other task is
  /// harmed. The initializer has no limit, nor has a task with RANKPOOL_INLINE=1, which runs in the master's own
  /// process.
  std::optional<Seconds> task_timeout = {};
  /// Threads a task may use (OpenMP, OpenBLAS, MKL); 0: 1. There are fewer executors accordingly.
  Count threads_per_task = {};
};

/// Options of one call.
struct MapOptions {
  /// Of streams (`imap` and its relatives): inputs drawn ahead of the reader, at most; a number given is never
  /// exceeded. 0: 16 per executor, or two chunks where that is more; and where tasks are so quick that the reader reads
  /// all those within 5 ms and waits for more, as many as are read in about 10 ms, up to 512 per executor and about
  /// 16 MB. When tasks, reader or inputs turn slow, or items large, it falls back. Other calls have no use for it.
  /// Python: `buffersize` of `Executor.map` (3.14).
  Count buffersize = {};
  /// Tasks an executor takes at a time; 0: measured. Python: `chunksize`.
  Count chunksize = {};
  /// A file that keeps the results of finished tasks; none when empty. The same program, run again after whatever ended
  /// it, takes from there what it has and runs only the other tasks; the call returns the same. Results are in the file
  /// about a second after they came, as the disk allows; tasks that ended in an exception run again. One file may keep
  /// many calls, also of several pools, but only one running program's. It is the master's: a relative name is one in
  /// its working directory. Python: none.
  /// @throws JournalError when the file is none of rankpool's, is in use, or has results of other inputs, of another
  /// function, of another seed, or of another type, or can't be made.
  std::string journal = {};
  /// The call's name in the journal, up to the user; must not begin with #. When empty, calls are told apart by their
  /// order: the third call with this journal goes on with its third call. Give one where threads make calls beside each
  /// other, or where a new build of the program is to use the old one's results: then the name says that the tasks do
  /// the same, where otherwise the function's place in the program must be the same.
  std::string journal_key = {};
  /// Like PoolOptions::max_attempts, for this call; 0: as the pool has it.
  Count max_attempts = {};
  /// How the chunks are dealt; when not given, as RANKPOOL_SCHEDULE has it. Python: none.
  std::optional<Schedule> schedule = {};
  /// Runs what is late, when nothing else is left to start, on idle executors as well, and takes what ends first, be it
  /// a result or an error: for nodes that are slow now and then, or stand still. Only for tasks that may run twice at
  /// the same time, which must not write to the same file, say. Late is what takes 20 ms and twice as long as it should
  /// by the call's other tasks, with those queued before it; waiting for shared objects counts. A call of one task has
  /// no others. Executors that are not waited for any more go on with such a task until it ends, or join(), which then
  /// kills all executors; this_task::stop_requested() tells it. Python: none.
  /// @throws std::invalid_argument with max_attempts = 1.
  bool speculate = false;
  /// Like PoolOptions::task_timeout, for this call; infinity lifts the pool's limit.
  std::optional<Seconds> task_timeout = {};
  /// Time for the whole call, from its start, in seconds; 0 is no time at all, not given is no limit. When it has
  /// passed, what has not started is cancelled and the call throws TimeoutError; for `map_async` and `starmap_async`
  /// the future has it, of a stream next() throws it, after the results that came in time. Tasks that run go on, and
  /// may ask this_task::stop_requested(). Python: `timeout` of `Executor.map`.
  std::optional<Seconds> timeout = {};
};

/// Options of Pool::shutdown. Mirrors the arguments of `Executor.shutdown`.
struct ShutdownOptions {
  /// Cancel the tasks that have not started. Those that run finish; calls of other threads, futures and streams that
  /// lose tasks by this end in CancelledError. Python: `cancel_futures`.
  bool cancel_pending = false;
  /// Return when all is done, as join() does; to be false in a callback.
  bool wait = true;
};

}  // namespace rankpool
