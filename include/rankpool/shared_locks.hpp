/// @file
/// What tasks of a pool and its master wait for: Lock, RLock, Semaphore, Condition, Event and Barrier.
///
/// Pool::lock() and its like make them; these classes are handles, which are copied, captured by lambdas, and given to
/// tasks as arguments. The objects live as long as their pool, unless they are destroyed.
///
/// Calls that wait block only their own executor; who has waited longest comes first. They are to be made in the thread
/// in which the task runs, or in any thread of the master, of which 256 at a time may use such objects: each task and
/// each such thread holds locks of its own. All calls throw std::logic_error when the object was destroyed or its pool
/// is not here any more; those that wait, Deadlock when that would be for ever, and PoolClosed or BrokenPool when the
/// pool is terminated or breaks meanwhile.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string_view>

#include <rankpool/detail/deadline.hpp>
#include <rankpool/detail/shared.hpp>
#include <rankpool/options.hpp>

namespace rankpool {
namespace detail {

/// What all of them have in common.
class SharedObject {
 public:
  SharedObject() = default;
  explicit SharedObject(const SharedHandle& handle) : handle_(handle) {}

  /// Ends the object for everybody, before its pool does; who waits for it gets std::logic_error. For the master.
  /// @throws std::logic_error inside a task.
  void destroy() const { destroy_shared(handle_); }

  [[nodiscard]] const SharedHandle& handle() const { return handle_; }

 protected:
  SharedReply ask(SharedVerb verb, std::string_view what, Deadline deadline = {}, std::uint64_t number = 0) const {
    return ask_shared({.verb = verb, .object = handle_, .words = {number}, .deadline = deadline}, what);
  }
  bool does(SharedVerb verb, std::string_view what, Deadline deadline = {}) const {
    return ask(verb, what, deadline).answer == SharedAnswer::done;
  }

 private:
  SharedHandle handle_;
};

/// @returns the time from now to then; none where that is over.
template <class Clock, class Duration>
Seconds time_until(const std::chrono::time_point<Clock, Duration>& then) {
  const auto now = Clock::now();
  return then <= now ? Seconds::zero() : Seconds(then - now);
}

/// Lock and RLock.
class SharedLock : public SharedObject {
 public:
  using SharedObject::SharedObject;

  /// Waits until nobody else holds it. Mirrors `lock.acquire()`.
  /// @throws Deadlock when that would be for ever; then it is not held. Python: it hangs.
  void lock() const { static_cast<void>(ask(SharedVerb::lock, "lock")); }

  /// @returns whether it is held now. Mirrors `lock.acquire(block=False)`.
  bool try_lock() const { return does(SharedVerb::try_lock, "try_lock"); }

  /// Waits for so long. Mirrors `lock.acquire(timeout=...)`.
  /// @returns whether it is held now.
  bool try_lock_for(Seconds time) const { return does(SharedVerb::lock, "try_lock_for", deadline_after(time)); }

  /// Waits until then.
  template <class Clock, class Duration>
  bool try_lock_until(const std::chrono::time_point<Clock, Duration>& then) const {
    return try_lock_for(time_until(then));
  }

  /// Gives it to who has waited longest. Does nothing where it is not held, and never throws. Mirrors `lock.release()`.
  void unlock() const noexcept {
    try {
      static_cast<void>(ask(SharedVerb::unlock, "unlock"));
    } catch (...) {  // NOLINT(bugprone-empty-catch): std::scoped_lock calls this in its destructor
    }
  }

  /// Whether a task that held it died, was killed for its time, or ended without unlocking it, so that what it guards
  /// may be half done. Stays so until mark_consistent(). Python: none; there such a lock is never free again.
  [[nodiscard]] bool owner_died() const { return ask(SharedVerb::owner_died, "owner_died").word != 0; }

  /// What it guards is as it should be. For who holds it.
  /// @throws std::logic_error where it is not held.
  void mark_consistent() const { static_cast<void>(ask(SharedVerb::mark_consistent, "mark_consistent")); }
};

}  // namespace detail

/// One task, or one thread of the master, at a time holds it. It meets the standard's Lockable and TimedLockable:
///
///     std::scoped_lock held(lock);
///
/// and std::lock takes several without deadlock. One that dies holding it gives it back: see owner_died(). Mirrors
/// `multiprocessing.Lock`, but only its holder can unlock it.
class Lock : public detail::SharedLock {
 public:
  using SharedLock::SharedLock;
};

/// A Lock whose holder may lock it again, and unlocks it as often. Mirrors `multiprocessing.RLock`.
class RLock : public detail::SharedLock {
 public:
  using SharedLock::SharedLock;
};

/// Lets as many in at once as it has permits. Permits are nobody's: one that is acquired here may be released
/// elsewhere, and one whose task dies stays acquired. Mirrors `multiprocessing.Semaphore`; the names of
/// std::counting_semaphore work as well.
class Semaphore : public detail::SharedObject {
 public:
  using SharedObject::SharedObject;

  /// Takes a permit; waits until there is one. Mirrors `semaphore.acquire()`.
  void acquire() const { static_cast<void>(ask(detail::SharedVerb::acquire, "Semaphore::acquire")); }

  /// @returns whether there was a permit. Mirrors `semaphore.acquire(block=False)`.
  bool try_acquire() const { return does(detail::SharedVerb::try_acquire, "Semaphore::try_acquire"); }

  /// Waits for so long. Mirrors `semaphore.acquire(timeout=...)`.
  /// @returns whether there was a permit.
  bool try_acquire_for(Seconds time) const {
    return does(detail::SharedVerb::acquire, "Semaphore::try_acquire_for", detail::deadline_after(time));
  }

  /// Waits until then.
  template <class Clock, class Duration>
  bool try_acquire_until(const std::chrono::time_point<Clock, Duration>& then) const {
    return try_acquire_for(detail::time_until(then));
  }

  /// Gives permits back, or more than there were. Mirrors `semaphore.release()`.
  /// @throws std::overflow_error for more than can be counted; std::invalid_argument for a negative number.
  void release(Count permits = 1) const {
    static_cast<void>(
        ask(detail::SharedVerb::release, "Semaphore::release", {}, permits.value("permits", "must not be negative")));
  }

  /// @returns the permits there are now. Mirrors `semaphore.get_value()`.
  [[nodiscard]] std::uint64_t permits() const { return ask(detail::SharedVerb::permits, "Semaphore::permits").word; }
};

/// Lets tasks wait until another says that something has changed. It belongs to a Lock or an RLock, which is to be held
/// for wait(), is free while that waits, and is held again when it returns:
///
///     std::unique_lock held(lock);
///     condition.wait([&] { return ready.get(); });
///
/// Waiting may end without a notification: look whether what is waited for is there. Where it throws Deadlock the lock
/// may be held or not; unlock(), as the guard above calls it, is right in both cases. Mirrors
/// `multiprocessing.Condition`.
class Condition : public detail::SharedObject {
 public:
  Condition() = default;
  /// For the library: see Pool::condition().
  Condition(const detail::SharedHandle& handle, const detail::SharedHandle& lock) : SharedObject(handle), lock_(lock) {}

  /// Waits to be notified. Mirrors `condition.wait()`.
  /// @throws std::logic_error where the lock is not held.
  void wait() const { static_cast<void>(wait_until_notified({}, "Condition::wait")); }

  /// Waits until `holds()`. Mirrors `condition.wait_for(holds)`.
  template <class Predicate>
  requires std::is_invocable_r_v<bool, Predicate>
  void wait(Predicate holds) const {
    while (!holds()) wait();
  }

  /// Waits to be notified, for so long at most. Mirrors `condition.wait(timeout)`.
  /// @returns false when the time was over.
  bool wait_for(Seconds time) const { return wait_until_notified(detail::deadline_after(time), "Condition::wait_for"); }

  /// Waits until `holds()`, for so long at most. Mirrors `condition.wait_for(holds, timeout)`.
  /// @returns what `holds()` gave last.
  template <class Predicate>
  requires std::is_invocable_r_v<bool, Predicate>
  bool wait_for(Seconds time, Predicate holds) const {
    const detail::Deadline deadline = detail::deadline_after(time);
    while (!holds()) {
      if (!wait_until_notified(deadline, "Condition::wait_for")) return holds();
    }
    return true;
  }

  /// Wakes who has waited longest. Mirrors `condition.notify()`.
  void notify_one() const { notify(1); }
  /// Wakes those who have waited longest. Mirrors `condition.notify(n)`.
  void notify(Count tasks) const {
    static_cast<void>(
        ask(detail::SharedVerb::notify, "Condition::notify", {}, tasks.value("tasks", "must not be negative")));
  }
  /// Wakes all who wait. Mirrors `condition.notify_all()`.
  void notify_all() const { static_cast<void>(ask(detail::SharedVerb::notify_all, "Condition::notify_all")); }

 private:
  bool wait_until_notified(detail::Deadline deadline, std::string_view what) const {
    const detail::SharedReply reply = detail::ask_shared(
        {.verb = detail::SharedVerb::wait, .object = handle(), .lock = lock_, .deadline = deadline}, what);
    return reply.answer == detail::SharedAnswer::done;
  }

  detail::SharedHandle lock_;
};

/// Something that has happened or not. Mirrors `multiprocessing.Event`.
class Event : public detail::SharedObject {
 public:
  using SharedObject::SharedObject;

  /// It has happened: lets all go on who wait. Mirrors `event.set()`.
  void set() const { static_cast<void>(ask(detail::SharedVerb::set, "Event::set")); }
  /// It has not. Mirrors `event.clear()`.
  void clear() const { static_cast<void>(ask(detail::SharedVerb::clear, "Event::clear")); }
  /// Mirrors `event.is_set()`.
  [[nodiscard]] bool is_set() const { return ask(detail::SharedVerb::is_set, "Event::is_set").word != 0; }
  /// Waits until it has happened. Mirrors `event.wait()`.
  void wait() const { static_cast<void>(ask(detail::SharedVerb::wait, "Event::wait")); }
  /// Waits for so long. Mirrors `event.wait(timeout)`.
  /// @returns whether it has happened.
  bool wait_for(Seconds time) const {
    return does(detail::SharedVerb::wait, "Event::wait_for", detail::deadline_after(time));
  }
};

/// Lets nobody on before as many have come as it was made for; then again. Mirrors `multiprocessing.Barrier`.
class Barrier : public detail::SharedObject {
 public:
  using SharedObject::SharedObject;

  /// Waits for the others.
  /// @returns true in one of them, the last to come. Mirrors `barrier.wait()`, which gives each a number.
  bool wait() const { return ask(detail::SharedVerb::wait, "Barrier::wait").word != 0; }

  /// Waits for so long; who gives up has not come. Mirrors `barrier.wait(timeout)`, which breaks the barrier for all.
  /// @returns whether all have come.
  bool wait_for(Seconds time) const {
    return does(detail::SharedVerb::wait, "Barrier::wait_for", detail::deadline_after(time));
  }
};

}  // namespace rankpool
