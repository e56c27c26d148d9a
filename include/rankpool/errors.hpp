/// @file
/// What goes wrong, as exceptions.
///
///   Error ◄─virtual─ RemoteError        interfaces without a std base: catch them beside std::exception
///     ▲                  ▲
///     │                  ├── Remote<E>    a task's exception: is an E, with E's own text
///     │                  └── WorkerLost, TaskTimeout
///     └── TimeoutError, PoolClosed, CancelledError, ...   the pool's own: each one is a std::runtime_error
///
/// Every exception of the pool has exactly one std::exception base, so `catch (const std::exception&)` catches them
/// all. All accessors may be called from any thread at the same time; copying an exception does not throw.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <rankpool/detail/code_address.hpp>
#include <rankpool/export.hpp>

namespace rankpool {

/// Everything the pool throws. An interface without a std base: an exception of a task is a std::exception by way of
/// its own type, and a second std::exception base would make that ambiguous and uncatchable.
class RANKPOOL_API Error {
 public:
  virtual ~Error() = default;

  /// @returns the text; for a task's exception that exception's own.
  [[nodiscard]] virtual const char* what() const noexcept = 0;

 protected:
  /// For classes of errors.
  Error() = default;
  /// Does not throw.
  Error(const Error&) = default;
  /// Does not throw.
  Error& operator=(const Error&) = default;
};

/// Where a task ran.
struct TaskPlace {
  int rank = -1;              ///< MPI rank whose executor ran it; -1 when not known
  std::string host;           ///< that rank's host name; empty when not known
  int slot = -1;              ///< number of the executor within its rank; -1 when not known
  std::uint64_t task = 0;     ///< index of the task in its call, from 0
  std::uint32_t attempt = 1;  ///< 1 for the first try
};

namespace detail {

/// What is known of a task's failure.
struct RemoteReport {
  TaskPlace place;
  std::string type_name;            ///< demangled type of what was thrown
  std::string text;                 ///< its what()
  std::vector<std::string> causes;  ///< texts of the nested exceptions, the outermost first

  // Of an executor's death.
  std::string stderr_tail = {};         ///< the last lines that the task wrote
  std::vector<CodeAddress> stack = {};  ///< where the task crashed, the innermost frame first
};

}  // namespace detail

/// An error of a task, with the place where it happened. Mirrors the remote traceback that Python attaches to an
/// exception of a worker process.
class RANKPOOL_API RemoteError : public virtual Error {
 public:
  /// @returns the MPI rank whose executor ran the task; -1 when not known.
  [[nodiscard]] int rank() const noexcept { return report_->place.rank; }
  /// @returns that rank's host name.
  [[nodiscard]] const std::string& host() const noexcept { return report_->place.host; }
  /// @returns the number of the executor within its rank; -1 when not known.
  [[nodiscard]] int slot() const noexcept { return report_->place.slot; }
  /// @returns the task's index in its call, from 0: the position of its input.
  [[nodiscard]] std::uint64_t task() const noexcept { return report_->place.task; }
  /// @returns the same as task(), under the name that `this_task` has for it.
  [[nodiscard]] std::uint64_t index() const noexcept { return task(); }
  /// @returns which try of the task it was; 1 is the first.
  [[nodiscard]] std::uint32_t attempt() const noexcept { return report_->place.attempt; }
  /// @returns the type that was thrown, as it is written in C++: "std::out_of_range".
  [[nodiscard]] const std::string& type_name() const noexcept { return report_->type_name; }
  /// @returns the texts of the exceptions nested in this one (std::throw_with_nested), the outermost first.
  [[nodiscard]] const std::vector<std::string>& causes() const noexcept { return report_->causes; }
  /// @returns several lines for people: what happened, in which task and attempt, where, and what caused it; of a task
  /// that was lost also its last lines on stderr and the backtrace of its crash. No newline at the end.
  [[nodiscard]] std::string describe() const;

 protected:
  /// For classes of errors: an error of the task that `report` tells of.
  explicit RemoteError(detail::RemoteReport report)
      : report_(std::make_shared<const detail::RemoteReport>(std::move(report))) {}
  // Copies only: a moved-from exception would have no report.
  /// Does not throw; there is no move.
  RemoteError(const RemoteError&) = default;
  /// Does not throw; there is no move.
  RemoteError& operator=(const RemoteError&) = default;

  /// @returns what what() gives.
  [[nodiscard]] const char* text() const noexcept { return report_->text.c_str(); }
  /// @returns all that is known.
  [[nodiscard]] const detail::RemoteReport& report() const noexcept { return *report_; }

 private:
  std::shared_ptr<const detail::RemoteReport> report_;
};

/// An exception of type E that a task threw, thrown again where the result was asked for. It is caught as E, as any
/// base of E, as RemoteError and as Error.
template <class E>
class RANKPOOL_API Remote final : public E, public virtual RemoteError {
 public:
  /// @param error the exception as rebuilt here.
  /// @param report what the executor told about it.
  Remote(E error, detail::RemoteReport report) : RemoteError(std::move(report)), E(std::move(error)) {}

  /// @returns the text that E's own what() gave in the task.
  [[nodiscard]] const char* what() const noexcept override { return RemoteError::text(); }
};

namespace detail {

/// Joins the std and the pool's side of an error of the pool.
class RANKPOOL_API PoolError : public std::runtime_error, public virtual Error {
 public:
  using std::runtime_error::runtime_error;
  [[nodiscard]] const char* what() const noexcept override { return std::runtime_error::what(); }
};

/// A task's exception whose type cannot be rebuilt here: an int, a class without a standard base, or a damaged report.
class RANKPOOL_API UnknownRemoteError final : public PoolError, public virtual RemoteError {
 public:
  explicit UnknownRemoteError(const RemoteReport& report)
      : RemoteError(report), PoolError(report.text) {}  // NOLINT(bugprone-throw-keyword-missing): a base
};

}  // namespace detail

/// The executor of a task died: a crash, `exit`, a signal from outside. Thrown for the task that ran, once its attempts
/// are used up; all other tasks go on elsewhere. what() is one line; describe() adds stderr_tail() and backtrace().
///
/// Also thrown for a task that went down with its node: when the rank that leads a node is killed, nobody can tell
/// which of the node's tasks had started, and each is charged an attempt. Then signal(), exit_code(), stderr_tail() and
/// backtrace() are empty, pid() is 0, slot() is -1, and rank() is the one that was killed.
///
/// Python: `BrokenProcessPool`, there the end of the whole pool.
class RANKPOOL_API WorkerLost : public detail::PoolError, public virtual RemoteError {
 public:
  /// @param text what happened, in words.
  /// @param place the task and the executor.
  /// @param signal number of the signal that killed the executor, if one did.
  /// @param exit_code status the executor ended with, if it did.
  /// @param pid its process id; 0 when not known.
  explicit WorkerLost(const std::string& text, TaskPlace place = {}, std::optional<int> signal = {},
                      std::optional<int> exit_code = {}, int pid = 0)
      : RemoteError({std::move(place), "rankpool::WorkerLost", text, {}}),
        PoolError(text),  // NOLINT(bugprone-throw-keyword-missing): a base
        signal_(signal),
        exit_code_(exit_code),
        pid_(pid) {}
  /// The same, of an executor that has left more.
  /// @param report all that is known of the task's end.
  /// @param signal number of the signal that killed the executor, if one did.
  /// @param exit_code status the executor ended with, if it did.
  /// @param pid its process id; 0 when not known.
  WorkerLost(const detail::RemoteReport& report, std::optional<int> signal, std::optional<int> exit_code, int pid)
      : RemoteError(report),
        PoolError(report.text),  // NOLINT(bugprone-throw-keyword-missing): a base
        signal_(signal),
        exit_code_(exit_code),
        pid_(pid) {}

  /// @returns the number of the signal that killed the executor; empty when it ended otherwise, or when the task was
  /// lost with its node.
  [[nodiscard]] std::optional<int> signal() const noexcept { return signal_; }
  /// @returns the status the executor ended with; empty when a signal killed it, or when the task was lost with its
  /// node.
  [[nodiscard]] std::optional<int> exit_code() const noexcept { return exit_code_; }
  /// @returns the executor's process id on host(); 0 when not known.
  [[nodiscard]] int pid() const noexcept { return pid_; }
  /// @returns the last lines that the task wrote to stderr, up to 2 KiB, without the newline at the end; empty where
  /// there are none. Among them is what assert() and std::terminate() say, and the C library's complaint
  /// about a damaged heap or stack. Not among them: what was written past the C and C++ streams (write(), programs that
  /// the task has started, a `FILE*` copied from `stderr` before `run()`), wide characters, and a line that was not
  /// ended when SIGKILL came.
  [[nodiscard]] const std::string& stderr_tail() const noexcept { return report().stderr_tail; }
  /// @returns where the task crashed: a line for each of up to 16 calls, the innermost first, such as
  /// "overrun_the_grid(Grid&) at /home/ann/grid.cpp:17". Files and lines take a program compiled with `-g`; a function
  /// without a name is "libsim.so+0x1a2b", which `addr2line` knows what to do with. Empty after an exit, after SIGKILL
  /// or another signal from outside that is no crash, and where a handler of the program's own took the signal. The
  /// first call in a process reads the program's debug information, which takes milliseconds, for a large program
  /// more. May be called from any thread at the same time.
  /// @throws std::bad_alloc when there is no memory for the lines.
  [[nodiscard]] std::vector<std::string> backtrace() const;

 private:
  std::optional<int> signal_;
  std::optional<int> exit_code_;
  int pid_;
};

/// A task ran longer than `task_timeout` and its executor was killed. Never tried again. Python: none.
class RANKPOOL_API TaskTimeout : public detail::PoolError, public virtual RemoteError {
 public:
  /// @param text what happened, in words.
  /// @param place the task and the executor.
  explicit TaskTimeout(const std::string& text, TaskPlace place = {})
      : RemoteError({std::move(place), "rankpool::TaskTimeout", text, {}}),
        PoolError(text) {}  // NOLINT(bugprone-throw-keyword-missing): a base
  /// The same, of an executor that has left more.
  /// @param report all that is known of the task's end.
  explicit TaskTimeout(const detail::RemoteReport& report)
      : RemoteError(report), PoolError(report.text) {}  // NOLINT(bugprone-throw-keyword-missing): a base

  /// @returns the last lines that the task wrote to stderr, as WorkerLost::stderr_tail() does: what it was doing.
  [[nodiscard]] const std::string& stderr_tail() const noexcept { return report().stderr_tail; }
};

/// A result was not there in the time given to `get`, `next`, or a call's `timeout`. Mirrors
/// `multiprocessing.TimeoutError`.
class RANKPOOL_API TimeoutError : public detail::PoolError {
 public:
  using PoolError::PoolError;
};

/// A call on a pool after `close`, `shutdown` or `terminate`. Mirrors `ValueError("Pool not running")`.
class RANKPOOL_API PoolClosed : public detail::PoolError {
 public:
  PoolClosed() : PoolClosed("Pool not running") {}
  using PoolError::PoolError;
};

/// The task was cancelled, or the pool terminated, before it had a result. Mirrors
/// `concurrent.futures.CancelledError`.
class RANKPOOL_API CancelledError : public detail::PoolError {
 public:
  using PoolError::PoolError;
};

/// The job that the program is part of ends: its time is nearly over, it was sent SIGTERM or SIGUSR1 by the batch
/// system, or a node is lost and the launcher does not let the others go on. The call was cut short, and in the grace
/// no other is begun; a call whose tasks take longer than the time left, as measured, is cut short before that, while
/// calls of shorter tasks go on. Results that had come are in the call's journal, if it has one. What the program has
/// to save should be saved in few seconds (PoolOptions::grace). run() then returns 75 (EX_TEMPFAIL: try again later)
/// whatever the master returns, and prints this where it leaves the master; std::exit(n) keeps its n. Python: none.
class RANKPOOL_API JobEnding : public detail::PoolError {
 public:
  using PoolError::PoolError;
};

/// An argument or a result could not be turned into bytes or back. Mirrors `multiprocessing.pool.MaybeEncodingError`.
class RANKPOOL_API SerializationError : public detail::PoolError {
 public:
  using PoolError::PoolError;
};

/// The pool itself can't go on. Mirrors `concurrent.futures.process.BrokenProcessPool`.
class RANKPOOL_API BrokenPool : public detail::PoolError {
 public:
  using PoolError::PoolError;
};

/// The ranks do not run the same executable or shared library. Python: none.
class RANKPOOL_API BinaryMismatch : public detail::PoolError {
 public:
  using PoolError::PoolError;
};

/// Waiting for a shared object would never end: this task or thread holds the lock itself, locks' holders wait for each
/// other in a ring, or all tasks and all threads of the master wait, none of them for a limited time. what() says who
/// waits for what and who holds it; "lock 3" is the third shared object that the pool has made. A lock() that throws it
/// does not hold. Python: none; there all hang.
class RANKPOOL_API Deadlock : public detail::PoolError {
 public:
  using PoolError::PoolError;
};

/// An item was put into a queue that is closed. Mirrors `queue.ShutDown`.
class RANKPOOL_API QueueClosed : public detail::PoolError {
 public:
  using PoolError::PoolError;
};

/// A journal can't be used: another process writes it, it is damaged or something else, or what it holds are results of
/// other inputs, another function, another seed, or another type. What it holds is not lost. Python: none.
class RANKPOOL_API JournalError : public detail::PoolError {
 public:
  using PoolError::PoolError;
};

/// A closure or an argument holds a pointer, which means nothing in another process. Python: none; there pickle
/// refuses what it can't send.
class RANKPOOL_API PointerCapture : public detail::PoolError {
 public:
  using PoolError::PoolError;
};

/// Lets tasks throw E: it arrives as Remote<E> instead of as its nearest standard base. Call it on every rank before
/// run(), or before Pool::open; from any thread. Registering a type twice does no harm. A type derived from E that is
/// not registered itself arrives as E. Needs <rankpool/rankpool.hpp>.
///
/// How E travels, the first that fits:
/// - it has a Boost `serialize` and can be made without arguments or from a std::string: with its whole state;
/// - it is trivially copyable: as its bytes;
/// - it can be made from a std::string: made from its text;
/// - it can be made without arguments and adds no state to its standard base: made anew.
///
/// Anything else does not compile, nor does a `final` class: what is thrown is a class derived from E.
///
/// Python: none; there pickle looks a class up by its name.
template <class E>
void register_exception();

namespace detail {

/// @returns the text of any exception: what() of a std::exception or an Error; empty for a null pointer.
[[nodiscard]] RANKPOOL_API std::string text_of(const std::exception_ptr& error);

}  // namespace detail

}  // namespace rankpool
