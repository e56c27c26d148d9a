/// @file
/// The objects that a pool's tasks and its master share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <vector>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/shared.hpp>
#include <rankpool/options.hpp>
#include <rankpool/shared_locks.hpp>
#include <rankpool/shared_queue.hpp>
#include <rankpool/shared_value.hpp>

namespace rankpool {

/// Makes the objects that the tasks of a pool and its master share: a part of Pool, whose documentation says what holds
/// for all calls. They are kept on the master's node; what is given is a handle, which tasks take as an argument or
/// have captured:
///
///     const rankpool::Value<int> counter = pool.value(0);
///     pool.map([counter](int step) { counter.fetch_add(step); }, steps);
///
/// Where MPI was started with less than MPI_THREAD_MULTIPLE (see Pool::open), tasks on other nodes get on with them
/// only while the master waits in the pool, and other threads of the master can't wait for them.
///
/// They live as long as the pool. Each takes a page of memory, 4 KiB, or as many as it needs: for many numbers make one
/// array. All of these throw std::system_error when there is no memory for the object.
class PoolShared {
 public:
  /// @param first what it holds at first.
  /// @returns a value. Mirrors `multiprocessing.Value`.
  template <class T>
  [[nodiscard]] Value<T> value(const T& first = T{}) const {
    return Value<T>(make(detail::SharedKind::cells, 1, first));
  }

  /// @param size number of elements.
  /// @param first what each holds at first.
  /// @returns an array. Mirrors `multiprocessing.Array`.
  template <class T>
  [[nodiscard]] Array<T> array(Count size, const T& first = T{}) const {
    const std::uint64_t elements = size.value("size", "must not be negative");
    return Array<T>(make(detail::SharedKind::cells, elements, first), elements);
  }

  /// @param values what it holds at first.
  /// @returns an array of as many elements.
  template <class T>
  [[nodiscard]] Array<T> array(const std::vector<T>& values) const {
    const Array<T> made = array<T>(values.size());
    made.put(0, values);
    return made;
  }

  /// @param values what it holds at first, also where that is a single one: `pool.array<int>({5})`.
  /// @returns an array of as many elements.
  template <class T>
  [[nodiscard]] Array<T> array(std::initializer_list<T> values) const {
    return array<T>(std::vector<T>(values));
  }

  /// @param max items that put() lets in before it waits; 0: as many as there is memory for.
  /// @returns an empty queue. Mirrors `multiprocessing.Queue`.
  template <class T>
  [[nodiscard]] Queue<T> queue(Count max = 0) const {
    return Queue<T>(make(detail::SharedKind::queue, max.value("max", "must not be negative")));
  }

  /// @returns a lock that nobody holds. Mirrors `multiprocessing.Lock`.
  [[nodiscard]] Lock lock() const { return Lock(make(detail::SharedKind::lock)); }

  /// @returns one that its holder may lock again. Mirrors `multiprocessing.RLock`.
  [[nodiscard]] RLock rlock() const { return RLock(make(detail::SharedKind::recursive_lock)); }

  /// @returns a semaphore with so many permits. Mirrors `multiprocessing.Semaphore`.
  [[nodiscard]] Semaphore semaphore(Count permits = 1) const {
    return Semaphore(make(detail::SharedKind::semaphore, permits.value("permits", "must not be negative")));
  }

  /// @param lock to be held while waiting for it.
  /// @returns a condition. Mirrors `multiprocessing.Condition`.
  [[nodiscard]] Condition condition(const Lock& lock) const {
    return Condition(make(detail::SharedKind::condition), lock.handle());
  }
  /// @overload
  [[nodiscard]] Condition condition(const RLock& lock) const {
    return Condition(make(detail::SharedKind::condition), lock.handle());
  }

  /// @returns an event that has not happened. Mirrors `multiprocessing.Event`.
  [[nodiscard]] Event event() const { return Event(make(detail::SharedKind::event)); }

  /// @param parties how many it waits for, from 1.
  /// @returns a barrier. Mirrors `multiprocessing.Barrier`. Up to 4 * processes() tasks can wait at a time,
  /// on a node no more than 1,024.
  /// @throws std::invalid_argument for 0.
  [[nodiscard]] Barrier barrier(Count parties) const {
    const std::uint64_t number = parties.value("parties", "must not be negative");
    if (number == 0) throw std::invalid_argument("parties must be at least 1, not 0");
    return Barrier(make(detail::SharedKind::barrier, number));
  }

 private:
  [[nodiscard]] detail::PoolCore& core() const;

  [[nodiscard]] detail::SharedHandle make(detail::SharedKind kind, std::uint64_t number = 0) const {
    return make_object({.kind = kind, .number = number});
  }
  template <class T>
  [[nodiscard]] detail::SharedHandle make(detail::SharedKind kind, std::uint64_t number, const T& first) const {
    static_assert(detail::explain_cell<T>());
    std::array<std::byte, detail::fixed_bytes<T>> bytes;
    detail::encode_fixed(first, bytes.data());
    return make_object({.kind = kind, .number = number, .element_bytes = bytes.size(), .first = bytes});
  }
  [[nodiscard]] detail::SharedHandle make_object(const detail::SharedSpec& spec) const {
    detail::refuse_inside_task("making a shared object");
    return core().make_object(spec);
  }
};

}  // namespace rankpool
