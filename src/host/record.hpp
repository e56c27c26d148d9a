// What an executor puts in its outbox: records of a header and a payload, in a ring.
#pragma once

#include <atomic>
#include <cstdint>

#include "host/channel.hpp"

namespace rankpool::host {

/// Channel memory that an executor was lent for a large payload.
struct LentBlock {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

enum class RecordKind : std::uint32_t {
  padding = 1,  ///< skip to the ring's start
  results,      ///< a run of consecutive tasks' results
  failure,      ///< an exception's image
};

struct alignas(16) RecordHeader {
  RecordKind kind;
  std::uint32_t reserved;
  std::uint64_t lot;                 ///< no_lot: the initializer's
  std::uint64_t first;               ///< task index in the call
  std::atomic<std::uint64_t> count;  ///< of an open run: tasks that have ended so far
  std::uint64_t result_stride;
  std::uint64_t bytes;     ///< of the payload; of an open run not yet known
  std::uint64_t capacity;  ///< room for the payload
  std::uint64_t block;     ///< where the payload is; 0: behind the header
  std::int64_t nanoseconds;
};

inline constexpr std::uint64_t record_alignment = 16;

/// Ring space of a record whose payload of `bytes` is behind its header.
constexpr std::uint64_t record_span(std::uint64_t bytes) {
  return sizeof(RecordHeader) + (bytes + record_alignment - 1) / record_alignment * record_alignment;
}

/// Payloads up to this stay in the ring: a quarter of it, so that the leader can empty it while it fills.
inline constexpr std::uint64_t max_inline_bytes = outbox_bytes / 4;

/// Bytes from ring position to the ring's end.
constexpr std::uint64_t to_ring_end(std::uint64_t position) { return outbox_bytes - position % outbox_bytes; }

}  // namespace rankpool::host
