/// @file
/// The pool: Python's `multiprocessing.Pool` for C++ functions, on one machine or a cluster.
#pragma once

#include <cstdint>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <rankpool/bind.hpp>
#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/initializer.hpp>
#include <rankpool/detail/pool_calls.hpp>
#include <rankpool/errors.hpp>
#include <rankpool/export.hpp>
#include <rankpool/future.hpp>
#include <rankpool/options.hpp>
#include <rankpool/outcome.hpp>
#include <rankpool/pool_futures.hpp>
#include <rankpool/pool_shared.hpp>
#include <rankpool/pool_streams.hpp>

namespace boost::mpi {
class communicator;
}

namespace rankpool {

/// Runs functions in other processes, on all cores of a machine or of a cluster. `run()` makes one, or Pool::open.
///
/// Calls that block are written here, those that give futures (`map_async`, ...) in pool_futures.hpp, those that give
/// streams (`imap`, ...) in pool_streams.hpp, those that make shared objects (`value`, `lock`, `queue`, ...) in
/// pool_shared.hpp.
///
/// Calls block until their tasks have ended, except those that give a Future or a stream; all may be made from any
/// thread, several at once; not inside a task. Blocking ones throw std::logic_error in a callback of a future. Moving
/// and destroying a pool must not happen while another thread uses it.
///
/// What `f` may be: a function, a lambda whose captures are trivially copyable values, a functor with `serialize`, a
/// pointer to a non-virtual member function, `rankpool::fn<f>` or `rankpool::bind(f, args...)`. Overloaded names need a
/// lambda. Its arguments are those of the range's types, travel as serialization.hpp says, and are given to it as
/// rvalues; its result must travel too.
///
/// All calls throw
/// - PoolClosed after close() or terminate(), BrokenPool when the pool can't go on, CancelledError when the pool is
///   terminated meanwhile, TimeoutError when `timeout` has passed;
/// - std::invalid_argument for an option that makes no sense, std::logic_error inside a task;
/// - PointerCapture or BinaryMismatch for a callable that can't be sent;
/// - what the given range, or the serialization of an argument, throws.
class Pool : public PoolFutures, public PoolStreams, public PoolShared {
 public:
  /// For the library and for tests: a pool in front of `core`.
  explicit Pool(std::shared_ptr<detail::PoolCore> core) : core_(std::move(core)) {}

  /// The other one is no pool any more: its calls throw PoolClosed.
  Pool(Pool&& other) noexcept : core_(std::move(other.core_)) {}
  /// Ends the pool that was here as the destructor does; the other one is no pool any more.
  Pool& operator=(Pool&& other) noexcept {
    if (this != &other) {
      finish();
      core_ = std::move(other.core_);
    }
    return *this;
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Closes and joins, or terminates while an exception is flying. Mirrors `with Pool() as pool:`.
  ~Pool() { finish(); }

  /// Makes a pool in a program that starts MPI itself. Collective over `communicator`: the root gets the pool; the
  /// other ranks serve tasks inside until the pool is closed, and then get an empty optional and go on. Call prefork()
  /// before MPI_Init.
  ///
  /// Where MPI was started with less than MPI_THREAD_MULTIPLE, the pool calls MPI only in the thread that opened it,
  /// and only inside calls on the pool and its futures and streams; it starts no thread of its own. So
  /// - results arrive, more tasks are dealt out and callbacks run only while that thread waits in the pool: in a
  ///   blocking call, `get()`, `wait()`, as_completed() or a stream. A loop that only asks ready(), or wait() with no
  ///   time, never ends;
  /// - in other threads all that would make the pool work throws std::logic_error that names MPI_THREAD_MULTIPLE, also
  ///   where the threads take turns as MPI_THREAD_SERIALIZED has it. They may look at what is ready, add callbacks,
  ///   drop futures and streams, and close() the pool. Destroy the pool in the thread that opened it.
  ///
  /// @param communicator the ranks of the pool; the pool uses a duplicate. Not an intercommunicator.
  /// @param options the root's count.
  /// @param root the rank that gets the pool.
  /// @throws std::invalid_argument on every rank, for a root out of range or an intercommunicator; BinaryMismatch when
  ///   the ranks run different executables; std::logic_error inside a task.
  RANKPOOL_API static std::optional<Pool> open(boost::mpi::communicator communicator, PoolOptions options = {},
                                               int root = 0);

  // --- one task -----------------------------------------------------------------------------------------------------

  /// Runs `f(args...)` in an executor. Mirrors `Pool.apply`.
  /// @returns its result; nothing for a void function.
  /// @throws the task's error: its exception (see Remote), or WorkerLost when its executor died.
  template <class F, class... Args>
  auto apply(const F& f, const Args&... args) {
    return detail::apply<detail::Keep::values>(core(), "apply", f, args...);
  }

  // --- a task per element -------------------------------------------------------------------------------------------

  /// Runs `f(element)` for every element of a range. Mirrors `Pool.map`.
  /// @param f what each element is given to: see the class.
  /// @param range any input range: a container, a span, a view, a generator; walked only once, in the calling thread,
  ///   and not moved from. Its elements must travel; string literals do as std::string.
  /// @param options of this call.
  /// @returns the results in the range's order, as std::vector<R>; nothing for a void function.
  /// @throws the error of the lowest index among the tasks that failed, once all have ended; map_outcomes keeps the
  ///   others' results.
  template <class F, class Range>
  auto map(const F& f, Range&& range, const MapOptions& options = {}) {
    return detail::map<detail::Keep::values>(core(), "map", options, f, range);
  }

  /// Runs `f(a, b, ...)` for the elements of two to six ranges, walked together until the shortest ends. Mirrors
  /// `Executor.map` with several iterables.
  template <class F, detail::input R1, detail::input R2>
  auto map(const F& f, R1&& r1, R2&& r2, const MapOptions& options = {}) {
    return detail::map<detail::Keep::values>(core(), "map", options, f, r1, r2);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3>
  auto map(const F& f, R1&& r1, R2&& r2, R3&& r3, const MapOptions& options = {}) {
    return detail::map<detail::Keep::values>(core(), "map", options, f, r1, r2, r3);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4>
  auto map(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, const MapOptions& options = {}) {
    return detail::map<detail::Keep::values>(core(), "map", options, f, r1, r2, r3, r4);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4, detail::input R5>
  auto map(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, R5&& r5, const MapOptions& options = {}) {
    return detail::map<detail::Keep::values>(core(), "map", options, f, r1, r2, r3, r4, r5);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4, detail::input R5,
            detail::input R6>
  auto map(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, R5&& r5, R6&& r6, const MapOptions& options = {}) {
    return detail::map<detail::Keep::values>(core(), "map", options, f, r1, r2, r3, r4, r5, r6);
  }

  /// `map(square, {1, 2, 3, 4})`.
  template <class F, class T>
  auto map(const F& f, std::initializer_list<T> elements, const MapOptions& options = {}) {
    return detail::map_list<detail::Keep::values>(core(), "map", options, f, elements);
  }
  /// `map(norm, {{1.0, 2.0}, {3.0, 4.0}})`: elements in braces are of the type of the function's parameter.
  template <detail::takes_one F>
  auto map(const F& f, detail::ParameterList<F> elements, const MapOptions& options = {}) {
    return detail::map_list<detail::Keep::values>(core(), "map", options, f, elements.list);
  }

  /// Runs `f` for every element of a range of tuples, pairs or arrays, unpacked into its arguments. Mirrors
  /// `Pool.starmap`. For the rest like map().
  template <class F, class Range>
  auto starmap(const F& f, Range&& range, const MapOptions& options = {}) {
    return detail::starmap<detail::Keep::values>(core(), "starmap", options, f, range);
  }
  /// @overload
  template <class F, class T>
  requires(!std::same_as<T, detail::arguments_of_t<F>>) auto starmap(const F& f, std::initializer_list<T> elements,
                                                                     const MapOptions& options = {}) {
    return detail::starmap<detail::Keep::values>(core(), "starmap", options, f, elements);
  }
  /// `starmap(power, {{2, 2}, {3, 3}})`: the values are converted to the types of the function's parameters here.
  template <detail::has_signature F>
  auto starmap(const F& f, std::initializer_list<detail::arguments_of_t<F>> elements, const MapOptions& options = {}) {
    return detail::starmap<detail::Keep::values>(core(), "starmap", options, f, elements);
  }

  // --- a value or an error per element ------------------------------------------------------------------------------

  /// Like map(), but gives each input's value or error and never throws for a task, so that one bad task cannot cost a
  /// sweep. Mirrors a list of finished futures.
  /// @returns std::vector<Outcome<R>> in the range's order.
  template <class F, class Range>
  auto map_outcomes(const F& f, Range&& range, const MapOptions& options = {}) {
    return detail::map<detail::Keep::outcomes>(core(), "map_outcomes", options, f, range);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2>
  auto map_outcomes(const F& f, R1&& r1, R2&& r2, const MapOptions& options = {}) {
    return detail::map<detail::Keep::outcomes>(core(), "map_outcomes", options, f, r1, r2);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3>
  auto map_outcomes(const F& f, R1&& r1, R2&& r2, R3&& r3, const MapOptions& options = {}) {
    return detail::map<detail::Keep::outcomes>(core(), "map_outcomes", options, f, r1, r2, r3);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4>
  auto map_outcomes(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, const MapOptions& options = {}) {
    return detail::map<detail::Keep::outcomes>(core(), "map_outcomes", options, f, r1, r2, r3, r4);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4, detail::input R5>
  auto map_outcomes(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, R5&& r5, const MapOptions& options = {}) {
    return detail::map<detail::Keep::outcomes>(core(), "map_outcomes", options, f, r1, r2, r3, r4, r5);
  }
  /// @overload
  template <class F, detail::input R1, detail::input R2, detail::input R3, detail::input R4, detail::input R5,
            detail::input R6>
  auto map_outcomes(const F& f, R1&& r1, R2&& r2, R3&& r3, R4&& r4, R5&& r5, R6&& r6, const MapOptions& options = {}) {
    return detail::map<detail::Keep::outcomes>(core(), "map_outcomes", options, f, r1, r2, r3, r4, r5, r6);
  }
  /// @overload
  template <class F, class T>
  auto map_outcomes(const F& f, std::initializer_list<T> elements, const MapOptions& options = {}) {
    return detail::map_list<detail::Keep::outcomes>(core(), "map_outcomes", options, f, elements);
  }
  /// @overload
  template <detail::takes_one F>
  auto map_outcomes(const F& f, detail::ParameterList<F> elements, const MapOptions& options = {}) {
    return detail::map_list<detail::Keep::outcomes>(core(), "map_outcomes", options, f, elements.list);
  }

  /// starmap() as map_outcomes() is map().
  template <class F, class Range>
  auto starmap_outcomes(const F& f, Range&& range, const MapOptions& options = {}) {
    return detail::starmap<detail::Keep::outcomes>(core(), "starmap_outcomes", options, f, range);
  }
  /// @overload
  template <class F, class T>
  requires(!std::same_as<T, detail::arguments_of_t<F>>) auto starmap_outcomes(const F& f,
                                                                              std::initializer_list<T> elements,
                                                                              const MapOptions& options = {}) {
    return detail::starmap<detail::Keep::outcomes>(core(), "starmap_outcomes", options, f, elements);
  }
  /// @overload
  template <detail::has_signature F>
  auto starmap_outcomes(const F& f, std::initializer_list<detail::arguments_of_t<F>> elements,
                        const MapOptions& options = {}) {
    return detail::starmap<detail::Keep::outcomes>(core(), "starmap_outcomes", options, f, elements);
  }

  // --- life cycle; all of it may be repeated in any order ------------------------------------------------------------

  /// No more calls; those of other threads go on to their end. Mirrors `Pool.close`.
  /// @throws std::logic_error inside a task, as all of these do.
  void close() { core("close").close(); }

  /// Waits until all calls have ended and the executors are gone. Mirrors `Pool.join`.
  /// @throws std::logic_error saying "still running" before close(), shutdown() or terminate().
  void join() { core("join").join(); }

  /// Stops at once: kills running tasks and cancels the rest; their calls throw CancelledError. Mirrors
  /// `Pool.terminate`.
  /// @throws std::logic_error in a thread that may not call MPI: see open().
  void terminate() { core("terminate").terminate(); }

  /// Closes, and joins unless told not to wait. Mirrors `Executor.shutdown`. In a callback pass `{.wait = false}`.
  /// @throws std::logic_error when told to wait in a callback; nothing has changed then.
  void shutdown(ShutdownOptions options = {}) {
    detail::PoolCore& pool = core("shutdown");
    if (options.wait) pool.check_may_wait();
    pool.close();
    if (options.cancel_pending) pool.cancel_pending();
    if (options.wait) pool.join();
  }

  /// @returns the number of executors, on all hosts: those planned, less those that can't be started or were lost with
  /// their rank. From any thread at any time. Python: the argument `processes`.
  [[nodiscard]] int processes() const { return core("processes").processes(); }

  /// @returns where the pool is in its life; from any thread at any time. Python: none.
  [[nodiscard]] PoolState state() const { return core("state").state(); }

  /// @returns PoolOptions::name.
  [[nodiscard]] std::string name() const { return core("name").name(); }

 private:
  friend PoolFutures;
  friend PoolShared;
  friend PoolStreams;

  detail::PoolCore& core() const {
    if (core_ == nullptr) throw PoolClosed("Pool not running: it has been moved from");
    return *core_;
  }

  detail::PoolCore& core(const char* what) const {
    detail::refuse_inside_task(what);
    return core();
  }

  void finish() noexcept {
    if (core_ == nullptr) return;
    try {
      if (std::uncaught_exceptions() > exceptions_)
        core_->terminate();
      else
        core_->close();
      core_->join();
    } catch (...) {  // NOLINT(bugprone-empty-catch): calls have reported what there was; a destructor can't
    }
    core_.reset();
  }

  std::shared_ptr<detail::PoolCore> core_;
  int exceptions_ = std::uncaught_exceptions();
};

inline detail::PoolCore& PoolFutures::core() const { return static_cast<const Pool&>(*this).core(); }
inline detail::PoolCore& PoolShared::core() const { return static_cast<const Pool&>(*this).core(); }
inline detail::PoolCore& PoolStreams::core() const { return static_cast<const Pool&>(*this).core(); }

}  // namespace rankpool
