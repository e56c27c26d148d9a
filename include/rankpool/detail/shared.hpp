/// @file
/// The seam between the classes of shared objects and the library: what is asked of an object, and the answer.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <rankpool/export.hpp>

namespace rankpool::detail {

using Bytes = std::span<const std::byte>;

/// Names a shared object in all processes of its pool. The highest bit of each word is set, so that none can be taken
/// for a pointer.
struct SharedHandle {
  std::uint64_t pool = 0;
  std::uint64_t place = 0;  ///< in the memory of the master's node
  std::uint64_t id = 0;

  static constexpr std::uint64_t mark = std::uint64_t{1} << 63U;

  friend bool operator==(const SharedHandle&, const SharedHandle&) = default;
};

enum class SharedKind : std::uint32_t { cells, lock, recursive_lock, semaphore, condition, event, barrier, queue };

/// What a pool is to make.
struct SharedSpec {
  SharedKind kind{};
  std::uint64_t number = 0;         ///< cells, permits, parties, or the most items
  std::uint64_t element_bytes = 0;  ///< of a cell
  Bytes first = {};                 ///< what each cell holds at first
};

/// How cells are added to.
enum class Number : std::uint64_t { i8, i16, i32, i64, u8, u16, u32, u64, f32, f64 };

enum class SharedVerb : std::uint32_t {
  read,              ///< cells from words[0] on, words[1] of them
  write,             ///< the payload, to cells from words[0] on
  add,               ///< the payload, a Number of kind words[1], to cell words[0]; answers what was there
  compare_exchange,  ///< cell words[0]; the payload is what is expected and what is to be; answers what was there
  lock,
  try_lock,
  unlock,
  owner_died,
  mark_consistent,
  give_back,  ///< of a lock that the task can't unlock any more
  acquire,
  try_acquire,
  release,  ///< words[0] permits
  permits,
  wait,    ///< for a condition with its lock, an event, or a barrier
  notify,  ///< words[0] of those who wait
  notify_all,
  set,
  clear,
  is_set,
  put,
  try_put,
  get,
  try_get,
  close,
  size,
  make_room,  ///< in a queue, for an item of words[0] bytes
  why,        ///< I was to give up: answers the text
};

enum class SharedAnswer : std::uint32_t {
  done,
  refused,  ///< not now
  late,
  closed,
  not_mine,      ///< the lock is not held by who asked
  mine_already,  ///< and is not recursive
  too_many,      ///< more permits than can be counted
  out_of_range,  ///< the payload says what is not there
  wrong_kind,    ///< such an object does not do that
  gone,
  in_vain,  ///< the payload says who holds what
  damaged,  ///< a task has written over it
  failed,   ///< the payload says why
};

struct SharedRequest {
  SharedVerb verb{};
  SharedHandle object = {};
  SharedHandle lock = {};  ///< of a condition
  std::array<std::uint64_t, 2> words{};
  Bytes payload = {};
  std::uint64_t task = 0;                                              ///< 1 + index of the one that asks; 0: none does
  std::int32_t rank = -1;                                              ///< that its executor belongs to
  std::optional<std::chrono::steady_clock::time_point> deadline = {};  ///< empty: none
};

struct SharedReply {
  SharedAnswer answer = SharedAnswer::done;
  std::uint64_t word = 0;
  std::vector<std::byte> bytes = {};
};

/// Does it, wherever this process finds the object.
/// @param what the call's name, for errors: "Lock::lock".
/// @returns a reply that is done, refused, late or closed.
/// @throws std::logic_error, Deadlock, PoolClosed, BrokenPool and what else the reply says.
RANKPOOL_API SharedReply ask_shared(const SharedRequest& request, std::string_view what);

/// @throws std::runtime_error saying that a task has written over the object.
[[noreturn]] RANKPOOL_API void throw_damaged(std::string_view what);

/// As ask_shared(), once for all threads of the master.
/// @throws std::logic_error inside a task.
RANKPOOL_API void destroy_shared(const SharedHandle& object);

}  // namespace rankpool::detail
