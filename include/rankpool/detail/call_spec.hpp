/// @file
/// A call as the compiled library gets it, and the pool behind the templates of pool.hpp.
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <rankpool/detail/async_call.hpp>
#include <rankpool/detail/byte_buffer.hpp>
#include <rankpool/detail/call.hpp>
#include <rankpool/detail/shared.hpp>
#include <rankpool/export.hpp>
#include <rankpool/options.hpp>

namespace rankpool {

/// The life of a pool.
enum class PoolState : std::uint8_t {
  running,     ///< takes calls
  closed,      ///< takes no more calls; those that were made go on to their end
  terminated,  ///< stopped: what had not ended is cancelled
  broken,      ///< can't go on; calls throw BrokenPool
};

namespace detail {

/// All there is to know of a call beside its inputs and its results.
struct CallSpec {
  const Kernel* kernel = nullptr;
  ByteBuffer callable;                        ///< the callable's encoded state
  std::size_t input_stride = 0;               ///< bytes per encoded task, or `variable_stride`
  std::string_view journal;                   ///< file; empty: none
  std::string_view journal_key;               ///< empty: none
  std::uint64_t chunksize = 0;                ///< 0: automatic
  std::optional<std::uint32_t> max_attempts;  ///< empty: as the pool has it
  std::optional<Schedule> schedule;           ///< empty: as the pool has it
  bool speculate = false;                     ///< tasks that are late at the call's end run a second time
  std::optional<Seconds> task_timeout;        ///< above 0; empty: as the pool has it
  std::optional<Seconds> timeout;             ///< not negative; empty: none
  std::string_view what;                      ///< the call's name: "map", "apply"
};

/// @returns the option's time.
/// @throws std::invalid_argument naming option and value unless it is above 0.
inline std::optional<Seconds> positive_time(std::optional<Seconds> time, const char* option) {
  // Written so that NaN is refused too.
  if (time && !(time->count() > 0)) {
    throw std::invalid_argument(std::string(option) + " must be above 0, and is " + std::to_string(time->count()) +
                                " s");
  }
  return time;
}

/// Puts the options of a call into its spec.
/// @throws std::invalid_argument naming option and value where one makes no sense.
inline void set_options(CallSpec& spec, const MapOptions& options) {
  static_cast<void>(options.buffersize.value("buffersize"));  // which streams alone look at
  spec.chunksize = options.chunksize.value("chunksize");
  const std::uint64_t attempts = options.max_attempts.value("max_attempts");
  if (attempts > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument("max_attempts must be below 2^32, not " + std::to_string(attempts));
  }
  if (attempts != 0) spec.max_attempts = static_cast<std::uint32_t>(attempts);
  if (options.journal_key.starts_with('#')) {
    throw std::invalid_argument("journal_key must not begin with #, as " + options.journal_key + " does");
  }
  if (!options.journal_key.empty() && options.journal.empty()) {
    throw std::invalid_argument("journal_key " + options.journal_key + " needs a journal");
  }
  spec.journal = options.journal;
  spec.journal_key = options.journal_key;
  spec.schedule = options.schedule;
  spec.speculate = options.speculate;
  spec.task_timeout = positive_time(options.task_timeout, "task_timeout");
  // Written so that NaN is refused too.
  if (options.timeout && !(options.timeout->count() >= 0)) {
    throw std::invalid_argument("timeout must not be negative, and is " + std::to_string(options.timeout->count()) +
                                " s");
  }
  spec.timeout = options.timeout;
}

/// A condition that some thread waits for. Looked at under the pool's lock, by any thread, after anything has happened
/// in the pool: must not call the pool.
using Condition = std::function<bool()>;
using Deadline = std::optional<std::chrono::steady_clock::time_point>;

/// What the handles on calls that nobody waits for ask of the pool that runs them. All members may be called from any
/// thread at any time; await(), not in a callback or in a result's deserialization, where it throws std::logic_error.
class RANKPOOL_API AsyncCore : public std::enable_shared_from_this<AsyncCore> {
 public:
  AsyncCore() = default;
  AsyncCore(const AsyncCore&) = delete;
  AsyncCore& operator=(const AsyncCore&) = delete;
  virtual ~AsyncCore() = default;

  /// Draws up to `most` tasks, fewer where they come slowly, in this thread, and hands them out. After the input's end,
  /// and after what drawing threw has left this function, the call takes no more inputs and ends when its tasks have.
  /// Doesn't block.
  /// @returns whether inputs are left; false also when the call has ended.
  virtual bool feed(AsyncCall& call, InputSource& source, std::uint64_t most) = 0;
  /// Blocks until `condition` holds, driving the pool if nobody else does.
  /// @returns false when the deadline passed before.
  virtual bool await(const Condition& condition, Deadline deadline) = 0;
  /// Cancels what has not started, and the call as a whole unless it consists of one task, which runs or has ended.
  /// The call ends at once in CancelledError: when this returns, or in a callback after that.
  /// @returns whether it was cancelled, now or before.
  virtual bool cancel(AsyncCall& call) = 0;
  /// Nobody wants the call any more: cancels what has not started. It ends at once, in CancelledError.
  virtual void drop(AsyncCall& call) noexcept = 0;
  /// Whether a task of the call has been taken by an executor, or was sent to another node.
  [[nodiscard]] virtual bool running(const AsyncCall& call) = 0;
};

/// A pool without its types. All members may be called from any thread at any time; those that block, not in a callback
/// or in a result's deserialization, where they throw std::logic_error.
class RANKPOOL_API PoolCore {
 public:
  PoolCore() = default;
  PoolCore(const PoolCore&) = delete;
  PoolCore& operator=(const PoolCore&) = delete;
  virtual ~PoolCore() = default;

  /// Blocks until each task drawn from `source` has been given to `sink`. After it has thrown it touches neither again.
  /// @throws TimeoutError, PoolClosed, BrokenPool, CancelledError, or what drawing threw.
  virtual void run(const CallSpec& spec, InputSource& source, ResultSink& sink) = 0;

  /// Opens a call without inputs, which AsyncCore::feed() brings; from here on `call` knows its AsyncCore. Doesn't
  /// block.
  /// @throws PoolClosed, BrokenPool.
  virtual void start(const CallSpec& spec, std::optional<std::uint64_t> total, std::shared_ptr<AsyncCall> call) = 0;

  virtual void close() = 0;
  virtual void join() = 0;
  virtual void terminate() = 0;

  /// Makes a shared object, which lives as long as the pool unless it is destroyed. Doesn't block.
  /// @throws PoolClosed, BrokenPool; std::system_error when there is no memory for it.
  virtual SharedHandle make_object(const SharedSpec& spec) = 0;

  /// Cancels the tasks that have not started; their calls throw CancelledError when what runs of them has ended.
  virtual void cancel_pending() = 0;

  /// @throws std::logic_error where this thread may not wait for the pool, as join() does.
  virtual void check_may_wait() const = 0;

  /// Whether this thread is in code of the user's that runs under the pool's lock, such as a result's deserialization.
  [[nodiscard]] virtual bool delivers_here() const noexcept = 0;

  [[nodiscard]] virtual int processes() const = 0;
  [[nodiscard]] virtual PoolState state() const = 0;
  [[nodiscard]] virtual std::string name() const = 0;
};

/// @param what the call's name.
/// @throws std::logic_error when called inside a task.
RANKPOOL_API void refuse_inside_task(std::string_view what);

}  // namespace detail
}  // namespace rankpool
