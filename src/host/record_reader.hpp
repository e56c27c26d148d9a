// Reading an executor's outbox. A task that writes where it must not may have left anything there, and may go on
// writing while it is read: a record is copied out of the ring before it is looked at, its header twice, so that what
// is written over it front to back while it is copied is noticed; and nothing is believed that does not fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <rankpool/detail/byte_buffer.hpp>
#include <rankpool/detail/call.hpp>

#include "host/record.hpp"

namespace rankpool::host {

/// An outbox as the leader sees it; what it knows of it is its own.
struct OutboxView {
  const std::byte* ring = nullptr;     ///< outbox_bytes, aligned like a RecordHeader
  const std::byte* channel = nullptr;  ///< where the offsets of blocks count from
  std::span<const LentBlock> lent;
  std::uint64_t head = 0;  ///< read up to here
};

/// A record as read.
struct Record {
  RecordKind kind = RecordKind::padding;
  std::uint64_t lot = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;  ///< 0: nothing but a block comes back
  std::int64_t nanoseconds = 0;
  std::uint64_t block = 0;  ///< one of those lent; 0: the payload is in the ring
  detail::Bytes payload;    ///< in the reader's memory; of a block or of the dead, where the executor put it
  std::uint64_t end = 0;    ///< ring position behind it
};

enum class Reading {
  record,
  nothing,  ///< no record is there
  nonsense  ///< what is there, no executor has put there
};

/// Reads the first record between the head and `tail`, which the executor says it has published.
class RecordReader {
 public:
  /// @param record its payload stands until the next read.
  [[nodiscard]] Reading read(const OutboxView& outbox, std::uint64_t tail, Record& record);

 private:
  detail::ByteBuffer copy_;  ///< of a payload in the ring
};

/// Reads what a dead executor had finished of the run it was writing behind `tail`: each result of it is whole.
/// @param open_run as in ExecutorSlot.
/// @param record its payload is where the executor put it.
[[nodiscard]] Reading read_open_run(const OutboxView& outbox, std::uint64_t tail, std::uint64_t open_run,
                                    Record& record);

}  // namespace rankpool::host
