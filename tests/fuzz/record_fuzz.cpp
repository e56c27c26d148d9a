// What executors leave in their outboxes: any bytes are read as records that lie where records may lie, or refused.
#include <algorithm>
#include <array>
#include <memory>

#include "fuzz/target.hpp"
#include "host/record_reader.hpp"

namespace {

using namespace rankpool;  // NOLINT(google-build-using-namespace)
using fuzz::require;
using host::outbox_bytes;

constexpr std::uint64_t ring_begin = 4096;
constexpr std::uint64_t channel_bytes = ring_begin + outbox_bytes + 8192;

/// A channel of one outbox and two lent blocks, the second one at the channel's end.
struct FakeChannel {
  std::unique_ptr<std::byte[]> memory{new std::byte[channel_bytes]{}};
  std::array<host::LentBlock, 2> lent{{{ring_begin + outbox_bytes, 4096}, {channel_bytes - 96, 96}}};

  [[nodiscard]] std::byte* ring() const { return memory.get() + ring_begin; }
  [[nodiscard]] std::byte* block(std::size_t i) const { return memory.get() + lent[i].offset; }
};

bool lies_in(fuzz::Bytes part, const std::byte* begin, std::uint64_t bytes) {
  return part.data() >= begin && part.data() + part.size() <= begin + bytes;
}

void check(const host::Record& record, const host::OutboxView& outbox, std::uint64_t end) {
  require(record.end > outbox.head && record.end - outbox.head <= end - outbox.head, "a record ends where it may");
  require(record.end % host::record_alignment == 0, "records stay aligned");
  require(record.nanoseconds >= 0, "time does not go back");
  require(record.kind == host::RecordKind::results || record.kind == host::RecordKind::failure,
          "a record is of a kind that is delivered");
  if (record.block == 0) {
    require(record.payload.size() <= outbox_bytes, "a payload fits the ring");
    require(record.count != 0, "a record without a block tells of tasks");
  } else {
    const auto lent = std::ranges::find(outbox.lent, record.block, &host::LentBlock::offset);
    require(lent != outbox.lent.end(), "a block is one of those lent");
    require(lies_in(record.payload, outbox.channel + lent->offset, lent->bytes), "a payload lies in its block");
  }
  fuzz::read_all(record.payload);
}

/// Bytes where otherwise zeros are.
class Written {
 public:
  Written(std::byte* at, fuzz::Bytes bytes) : at_(at), size_(bytes.size()) { std::ranges::copy(bytes, at_); }
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;
  ~Written() { std::fill_n(at_, size_, std::byte{}); }

 private:
  std::byte* at_;
  std::size_t size_;
};

fuzz::Bytes first_of(fuzz::Bytes bytes, std::uint64_t most) {
  return bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), most)));
}

/// The ring's bytes begin at `head`, and go on around its end.
class WrittenRing {
 public:
  WrittenRing(std::byte* ring, std::uint64_t head, fuzz::Bytes bytes)
      : behind_(ring + head % outbox_bytes, first_of(bytes, host::to_ring_end(head))),
        before_(ring, first_of(bytes.subspan(first_of(bytes, host::to_ring_end(head)).size()), head % outbox_bytes)) {}

 private:
  Written behind_;
  Written before_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const FakeChannel channel;
  fuzz::Bytes input = std::as_bytes(std::span(data, size));
  const auto start = fuzz::take<fuzz::RecordInput>(input);
  // The leader's own count, which is always aligned; the rest is what the executor says.
  const std::uint64_t head = start.head / host::record_alignment * host::record_alignment;
  const std::uint64_t tail = head + start.published;
  const fuzz::Bytes lent = input.last(static_cast<std::size_t>(std::min<std::uint64_t>(start.lent, input.size())));
  const WrittenRing ring(channel.ring(), head, input.first(input.size() - lent.size()));
  const Written block(channel.block(0), first_of(lent, channel.lent[0].bytes));
  const Written last_block(channel.block(1), first_of(lent, channel.lent[1].bytes));

  host::OutboxView outbox{channel.ring(), channel.memory.get(), channel.lent, head};
  static host::RecordReader reader;
  host::Record record;
  auto reading = host::Reading::record;
  std::uint64_t records = 0;
  while ((reading = reader.read(outbox, tail, record)) == host::Reading::record) {
    check(record, outbox, tail);
    outbox.head = record.end;
    require(++records <= outbox_bytes / sizeof(host::RecordHeader), "an outbox holds no endless records");
  }
  if (reading == host::Reading::nonsense) return 0;
  outbox.head = tail;
  if (host::read_open_run(outbox, tail, start.open_run, record) == host::Reading::record) {
    check(record, outbox, tail + outbox_bytes);
  }
  return 0;
}
