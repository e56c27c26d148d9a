/// @file
/// A queue between all tasks of a pool and its master.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <rankpool/detail/codec.hpp>
#include <rankpool/detail/deadline.hpp>
#include <rankpool/detail/shared.hpp>
#include <rankpool/errors.hpp>
#include <rankpool/options.hpp>

namespace rankpool {

/// First in, first out, between the master and tasks on any rank. Pool::queue() makes one; this is a handle on it,
/// which is copied, captured by lambdas, and given to tasks as an argument. It lives as long as its pool, unless it is
/// destroyed. Any T that travels as an argument may be put in.
///
/// A task that dies while it waits takes no item with it; one that dies after it was given one does. Calls that wait
/// block only their own executor, and are to be made in the thread in which the task runs, or in any thread of the
/// master. All throw std::logic_error when the object was destroyed or its pool is not here any more; those that wait,
/// Deadlock when that is for ever, PoolClosed or BrokenPool when the pool is terminated or breaks meanwhile. Mirrors
/// `multiprocessing.Queue`.
///
///     while (auto job = jobs.get()) done.put(work(*job));   // until somebody calls jobs.close()
template <class T>
class Queue {
  static_assert(detail::explain_travel<T>());

 public:
  /// No object yet: to be assigned one. All calls throw std::logic_error.
  Queue() = default;
  /// For the library: see Pool::queue().
  explicit Queue(const detail::SharedHandle& handle) : handle_(handle) {}

  /// Puts an item in; waits while the queue is full. Mirrors `queue.put(item)`.
  /// @throws QueueClosed; what T's serialization throws.
  void put(const T& item) const { static_cast<void>(bring(detail::SharedVerb::put, item, {}, "Queue::put")); }

  /// The same for so long. Mirrors `queue.put(item, timeout=...)`.
  /// @throws TimeoutError, and the item is not in the queue.
  void put(const T& item, Seconds timeout) const {
    if (bring(detail::SharedVerb::put, item, detail::deadline_after(timeout), "Queue::put") ==
        detail::SharedAnswer::late) {
      detail::throw_late("Queue::put(): there was no room", timeout);
    }
  }

  /// Puts an item in, if there is room now. Mirrors `queue.put_nowait(item)`.
  /// @returns whether there was.
  bool try_put(const T& item) const {
    return bring(detail::SharedVerb::try_put, item, {}, "Queue::try_put") == detail::SharedAnswer::done;
  }

  /// Takes the item out that was put in first; waits while there is none. Mirrors `queue.get()`.
  /// @returns it; nothing when the queue is closed and empty.
  [[nodiscard]] std::optional<T> get() const { return item_of(ask(detail::SharedVerb::get, {}, {}, "Queue::get")); }

  /// The same for so long. Mirrors `queue.get(timeout=...)`.
  /// @throws TimeoutError.
  [[nodiscard]] std::optional<T> get(Seconds timeout) const {
    const detail::SharedReply reply = ask(detail::SharedVerb::get, {}, detail::deadline_after(timeout), "Queue::get");
    if (reply.answer == detail::SharedAnswer::late) detail::throw_late("Queue::get(): no item came", timeout);
    return item_of(reply);
  }

  /// Takes the first item out, if there is one now. Mirrors `queue.get_nowait()`.
  /// @returns it; nothing when there is none.
  [[nodiscard]] std::optional<T> try_get() const {
    return item_of(ask(detail::SharedVerb::try_get, {}, {}, "Queue::try_get"));
  }

  /// No more items come: who waits for one, or for room, is let go, and what is in the queue can still be taken out.
  /// Python: `shutdown()` of `queue.Queue` (3.13); `multiprocessing.Queue` has none.
  void close() const { static_cast<void>(ask(detail::SharedVerb::close, {}, {}, "Queue::close")); }

  /// @returns the items in the queue now. Mirrors `queue.qsize()`.
  [[nodiscard]] std::uint64_t size() const { return ask(detail::SharedVerb::size, {}, {}, "Queue::size").word; }

  /// @returns whether there are none now. Mirrors `queue.empty()`.
  [[nodiscard]] bool empty() const { return size() == 0; }

  /// Ends the object for everybody, before its pool does. For the master.
  /// @throws std::logic_error inside a task.
  void destroy() const { detail::destroy_shared(handle_); }

 private:
  detail::SharedReply ask(detail::SharedVerb verb, detail::Bytes payload, detail::Deadline deadline,
                          std::string_view what) const {
    return detail::ask_shared({.verb = verb, .object = handle_, .payload = payload, .deadline = deadline}, what);
  }

  detail::SharedAnswer bring(detail::SharedVerb verb, const T& item, detail::Deadline deadline,
                             std::string_view what) const {
    detail::ByteBuffer buffer;
    detail::encode_append(item, buffer);
    const auto answer = ask(verb, {buffer.data(), buffer.size()}, deadline, what).answer;
    if (answer == detail::SharedAnswer::closed) throw QueueClosed(std::string(what) + "(): the queue is closed");
    return answer;
  }

  static std::optional<T> item_of(const detail::SharedReply& reply) {
    if (reply.answer != detail::SharedAnswer::done) return std::nullopt;
    return detail::decode<T>(detail::Bytes(reply.bytes));
  }

  detail::SharedHandle handle_;
};

}  // namespace rankpool
