#include "host/record_reader.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstring>
#include <optional>

namespace rankpool::host {
namespace {

constexpr std::uint64_t header_bytes = sizeof(RecordHeader);

/// A RecordHeader that nobody else can change.
struct alignas(RecordHeader) HeaderCopy {
  RecordKind kind = RecordKind::padding;
  std::uint32_t reserved = 0;
  std::uint64_t lot = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t result_stride = 0;
  std::uint64_t bytes = 0;
  std::uint64_t capacity = 0;
  std::uint64_t block = 0;
  std::int64_t nanoseconds = 0;
  std::uint64_t unused = 0;
};
static_assert(sizeof(HeaderCopy) == sizeof(RecordHeader) &&
              offsetof(HeaderCopy, nanoseconds) == offsetof(RecordHeader, nanoseconds));

using Words = std::array<std::uint64_t, sizeof(HeaderCopy) / sizeof(std::uint64_t)>;

// Word by word: memcpy() and memcmp() take several at once, which may be read at different times and, measured on an
// AMD EPYC, out of order.
std::uint64_t word(const OutboxView& outbox, std::uint64_t position, std::size_t i) {
  return reinterpret_cast<const volatile std::uint64_t*>(outbox.ring + position % outbox_bytes)[i];
}

constexpr std::size_t told_words = offsetof(HeaderCopy, nanoseconds) / sizeof(std::uint64_t) + 1;

HeaderCopy copy_header(const OutboxView& outbox, std::uint64_t position) {
  Words words{};
  for (std::size_t i = 0; i < told_words; ++i) words[i] = word(outbox, position, i);
  std::atomic_thread_fence(std::memory_order_acquire);  // nothing is read a second time once it has been checked
  return std::bit_cast<HeaderCopy>(words);
}

/// To be asked when the payload has been copied, all of it before this looks.
bool has_changed(const HeaderCopy& header, const OutboxView& outbox, std::uint64_t position) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const Words words = std::bit_cast<Words>(header);
  for (std::size_t i = 0; i < told_words; ++i) {
    if (words[i] != word(outbox, position, i)) return true;
  }
  return false;
}

bool are_positions(const OutboxView& outbox, std::uint64_t tail) {
  return tail - outbox.head <= outbox_bytes && tail % record_alignment == 0;
}

/// Where the payload may be, to its end as far as is known from the leader's own book.
std::optional<detail::Bytes> payload_room(const OutboxView& outbox, const HeaderCopy& header, std::uint64_t position,
                                          std::uint64_t published) {
  if (header.block == 0) {
    const std::uint64_t room = std::min(published, to_ring_end(position)) - header_bytes;
    return detail::Bytes(outbox.ring + position % outbox_bytes + header_bytes, room);
  }
  const auto lent = std::ranges::find(outbox.lent, header.block, &LentBlock::offset);
  if (lent == outbox.lent.end()) return std::nullopt;
  return detail::Bytes(outbox.channel + lent->offset, lent->bytes);
}

bool is_run_of(const HeaderCopy& header, std::uint64_t bytes) {
  if (header.count == 0) return header.block != 0 && bytes == 0;
  if (header.result_stride == detail::variable_stride) return header.count <= bytes / sizeof(std::uint64_t);
  std::uint64_t expected = 0;
  return !__builtin_mul_overflow(header.count, header.result_stride, &expected) && expected == bytes;
}

bool makes_sense(const HeaderCopy& header) {
  if (header.nanoseconds < 0) return false;
  switch (header.kind) {
    case RecordKind::results:
      return is_run_of(header, header.bytes);
    case RecordKind::failure:
      return header.count == 1;
    case RecordKind::padding:
      break;
  }
  return false;
}

/// Bytes of the first `count` results; none when they don't fit the room.
std::optional<std::uint64_t> finished_bytes(const HeaderCopy& run, detail::Bytes room) {
  if (run.result_stride != detail::variable_stride) {
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(run.count, run.result_stride, &bytes) || bytes > room.size()) return std::nullopt;
    return bytes;
  }
  std::uint64_t bytes = 0;
  for (std::uint64_t i = 0; i < run.count; ++i) {
    std::uint64_t length = 0;
    if (room.size() - bytes < sizeof length) return std::nullopt;
    std::memcpy(&length, room.data() + bytes, sizeof length);
    bytes += sizeof length;
    if (room.size() - bytes < length) return std::nullopt;
    bytes += length;
  }
  return bytes;
}

void fill(Record& record, const HeaderCopy& header, detail::Bytes payload, std::uint64_t position) {
  record.kind = header.kind;
  record.lot = header.lot;
  record.first = header.first;
  record.count = header.count;
  record.nanoseconds = header.nanoseconds;
  record.block = header.block;
  record.payload = payload;
  record.end = position + record_span(header.block != 0 ? 0 : payload.size());
}

}  // namespace

Reading RecordReader::read(const OutboxView& outbox, std::uint64_t tail, Record& record) {
  if (!are_positions(outbox, tail)) return Reading::nonsense;
  for (std::uint64_t position = outbox.head; position != tail;) {
    const std::uint64_t published = tail - position;
    const std::uint64_t to_end = to_ring_end(position);
    // The writer leaves out by itself a rest too small for a header.
    const bool rest_is_small = to_end < header_bytes;
    if (!rest_is_small && published < header_bytes) return Reading::nonsense;
    const HeaderCopy header = rest_is_small ? HeaderCopy() : copy_header(outbox, position);
    if (header.kind == RecordKind::padding) {
      if (to_end > published) return Reading::nonsense;
      position += to_end;
      continue;
    }
    const auto room = payload_room(outbox, header, position, published);
    if (!room || header.bytes > room->size() || !makes_sense(header)) return Reading::nonsense;
    detail::Bytes payload = room->first(header.bytes);
    if (header.block == 0) {
      if (header.bytes > max_inline_bytes) return Reading::nonsense;
      copy_.clear();
      copy_.append(payload.data(), payload.size());
      if (has_changed(header, outbox, position)) return Reading::nonsense;
      payload = copy_.bytes();
    }
    fill(record, header, payload, position);
    return Reading::record;
  }
  return Reading::nothing;
}

Reading read_open_run(const OutboxView& outbox, std::uint64_t tail, std::uint64_t open_run, Record& record) {
  // What was published is no open run any more, though it may still be called one.
  if (open_run == 0 || open_run - 1 < tail) return Reading::nothing;
  if (open_run - 1 != tail || !are_positions(outbox, tail)) return Reading::nonsense;
  const std::uint64_t free_bytes = outbox_bytes - (tail - outbox.head);
  if (std::min(free_bytes, to_ring_end(tail)) < header_bytes) return Reading::nonsense;
  HeaderCopy run = copy_header(outbox, tail);
  if (run.kind != RecordKind::results) return Reading::nonsense;
  if (run.count == 0) return Reading::nothing;
  const auto room = payload_room(outbox, run, tail, free_bytes);
  if (!room) return Reading::nonsense;
  const auto bytes = finished_bytes(run, *room);
  if (!bytes) return Reading::nonsense;
  run.nanoseconds = 0;  // told only at its end
  fill(record, run, room->first(*bytes), tail);
  return Reading::record;
}

}  // namespace rankpool::host
