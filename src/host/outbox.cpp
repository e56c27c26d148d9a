#include "host/outbox.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "host/lot.hpp"
#include "host/surroundings.hpp"
#include "shared/access.hpp"
#include "task/exception_image.hpp"

namespace rankpool::host {
namespace {

using namespace std::chrono_literals;

// Room a run starts with where the kernel hasn't asked for more; a smaller rest of the ring is skipped.
constexpr std::uint64_t least_run_bytes = 1024;

// Waking the leader costs about 10 us, 1 % of a chunk of this length; shorter ones wait for company.
constexpr std::int64_t worth_a_ring = 1'000'000;

// Blocks whose size is remembered; one that is forgotten is given back.
constexpr std::size_t most_blocks = 8;

// A leader that has died never makes room; the executor looks up now and then only so that a debugger sees it move.
constexpr auto look_up = 1s;

}  // namespace

OutboxWriter::OutboxWriter(Channel& channel, std::uint32_t slot)
    : channel_(channel), slot_number_(slot), slot_(channel.slot(slot)), ring_(channel.outbox(slot)) {
  finished_ = &no_run_;
  blocks_.reserve(most_blocks);  // a task may have used up the memory by then
  const std::uint64_t limit = channel.header().settings.memory_limit;
  if (limit != 0 && memory_is_left(limit)) memory_limit_ = limit;
}

void OutboxWriter::begin(std::uint64_t lot, std::uint64_t first, std::uint64_t result_stride) {
  lot_ = lot;
  chunk_first_ = first;
  tasks_ = ~std::uint64_t{0};
  result_stride_ = result_stride;
  open_run(first, 0);
}

void OutboxWriter::end(std::int64_t nanoseconds) {
  close_run(nanoseconds);
  if (nanoseconds >= worth_a_ring) channel_.ring_leader();
}

void OutboxWriter::tidy_up() {
  task_leaves_something_ = false;
  shared::end_task();
}

void OutboxWriter::fail() {
  shared::end_task();
  {
    const auto image = task::capture_current_exception();
    fail_with({image.data(), image.size()});
  }
  if (lot_ != no_lot) make_way_if_full();
}

void OutboxWriter::fail_encoding() {
  shared::end_task();
  {
    const auto image = task::capture_encoding_failure();
    fail_with({image.data(), image.size()});
  }
  if (lot_ != no_lot) make_way_if_full();
}

// A task that keeps what it took leaves none to those after it, which would fail innocently, one after the other and
// quicker than others can take them.
void OutboxWriter::make_way_if_full() {
  if (memory_limit_ == 0 || !task::handles_lack_of_memory() || memory_is_left(memory_limit_)) return;
  slot_.state.store(SlotState::retiring, std::memory_order_release);
  slot_.chunk_end.store(0, std::memory_order_release);  // the rest was never begun: it goes back uncharged
  leave(EXIT_SUCCESS);
}

void OutboxWriter::fail_with(detail::Bytes image) {
  const std::uint64_t task = running_task();
  close_run(0);
  try {
    write_failure(task, image);
  } catch (const std::exception&) {
    // The channel lacks memory for an image this large: that is said in its place.
    const auto reason = task::capture_current_exception();
    write_failure(task, {reason.data(), reason.size()});
  }
  ++failures_;
  open_run(task + 1, 0);
}

void OutboxWriter::make_room(std::size_t bytes) {
  const std::uint64_t next = running_task();
  close_run(0);
  open_run(next, bytes);
}

void OutboxWriter::open_run(std::uint64_t first, std::size_t bytes) {
  const bool in_block = bytes > max_inline_bytes;
  // Before the run opens: what is thrown here is the running task's error.
  const LentBlock block = in_block ? borrow_block(bytes, "result") : LentBlock{};
  const std::uint64_t least = in_block ? 0 : std::max<std::uint64_t>(bytes, least_run_bytes);
  RecordHeader* header = place_record(least);
  const std::uint64_t position = slot_.tail.load(std::memory_order_relaxed);
  const std::uint64_t free_bytes = outbox_bytes - (position - slot_.head.load(std::memory_order_acquire));
  const std::uint64_t inline_room =
      std::min({free_bytes - sizeof(RecordHeader), to_ring_end(position) - sizeof(RecordHeader), max_inline_bytes});
  header->kind = RecordKind::results;
  header->lot = lot_;
  header->first = first;
  header->count.store(0, std::memory_order_relaxed);
  header->result_stride = result_stride_;
  header->bytes = 0;
  header->capacity = in_block ? block.bytes : inline_room;
  header->block = block.offset;
  header->nanoseconds = 0;

  run_ = header;
  run_first_ = first;
  payload_ = in_block ? channel_.at(block.offset) : reinterpret_cast<std::byte*>(header + 1);
  cursor_ = payload_;
  limit_ = payload_ + header->capacity;
  finished_ = &header->count;
  slot_.open_run.store(position + 1, std::memory_order_release);
}

void OutboxWriter::close_run(std::int64_t nanoseconds) {
  if (run_ == nullptr) return;
  run_->nanoseconds = nanoseconds;
  run_->bytes = static_cast<std::uint64_t>(cursor_ - payload_);
  const bool empty = run_->count.load(std::memory_order_relaxed) == 0;
  // A block granted to a run that ends empty travels back in an empty record.
  const bool to_publish = !empty || run_->block != 0;
  const std::uint64_t span = record_span(run_->block != 0 ? 0 : run_->bytes);
  run_first_ += run_->count.load(std::memory_order_relaxed);
  no_run_.store(0, std::memory_order_relaxed);
  finished_ = &no_run_;
  const bool large = run_->block != 0;
  run_ = nullptr;
  cursor_ = limit_ = payload_ = nullptr;
  if (to_publish) publish(span);
  if (large) channel_.ring_leader();  // it holds memory
  slot_.open_run.store(0, std::memory_order_release);
}

RecordHeader* OutboxWriter::place_record(std::uint64_t payload) {
  const std::uint64_t span = record_span(payload);
  std::uint64_t position = slot_.tail.load(std::memory_order_relaxed);
  if (to_ring_end(position) < span) {
    const std::uint64_t rest = to_ring_end(position);
    wait_for_space(rest);
    // The reader skips by itself a rest too small for a header.
    if (rest >= sizeof(RecordHeader)) {
      auto* padding = new (ring_ + position % outbox_bytes) RecordHeader{};
      padding->kind = RecordKind::padding;
    }
    publish(rest);
    position += rest;
  }
  wait_for_space(span);
  return new (ring_ + position % outbox_bytes) RecordHeader{};
}

void OutboxWriter::wait_for_space(std::uint64_t bytes) {
  const auto lacks_space = [&] {
    return outbox_bytes - (slot_.tail.load(std::memory_order_relaxed) - slot_.head.load(std::memory_order_seq_cst)) <
           bytes;
  };
  while (lacks_space()) {
    const std::uint32_t rings = slot_.bell.rings.load(std::memory_order_seq_cst);
    slot_.waits_for_space.store(1, std::memory_order_seq_cst);
    channel_.header().ready.insert(slot_number_);
    channel_.ring_leader();
    if (lacks_space()) support::futex_wait(slot_.bell.rings, rings, look_up);
    slot_.waits_for_space.store(0, std::memory_order_relaxed);
  }
}

LentBlock OutboxWriter::borrow_block(std::size_t bytes, const char* what) {
  const std::uint64_t spare = slot_.spare.exchange(0, std::memory_order_acquire);
  const auto known = std::ranges::find(blocks_, spare, &LentBlock::offset);
  if (spare != 0 && known != blocks_.end() && known->bytes >= bytes) return *known;
  if (known != blocks_.end()) blocks_.erase(known);

  slot_.granted.store(0, std::memory_order_relaxed);
  slot_.unwanted.store(spare, std::memory_order_relaxed);
  slot_.wanted.store(bytes, std::memory_order_relaxed);
  slot_.asks.fetch_add(1, std::memory_order_release);
  std::uint64_t offset = 0;
  for (;;) {
    const std::uint32_t rings = slot_.bell.rings.load(std::memory_order_seq_cst);
    offset = slot_.granted.load(std::memory_order_acquire);
    if (offset != 0) break;
    channel_.header().asking.insert(slot_number_);
    channel_.ring_leader();
    support::futex_wait(slot_.bell.rings, rings, look_up);
  }
  if (offset == ExecutorSlot::no_block) {
    throw std::system_error(ENOMEM, std::generic_category(),
                            std::string("rankpool: no memory in the channel for the task's ") + what + " of " +
                                std::to_string(bytes) + " bytes");
  }
  // The leader frees a block that it does not lend again, and may later grant the same place anew.
  std::erase_if(blocks_, [offset](const LentBlock& block) { return block.offset == offset; });
  if (blocks_.size() == most_blocks) blocks_.erase(blocks_.begin());
  blocks_.push_back({offset, bytes});
  return blocks_.back();
}

void OutboxWriter::publish(std::uint64_t span) {
  const std::uint64_t tail = slot_.tail.load(std::memory_order_relaxed) + span;
  slot_.tail.store(tail, std::memory_order_seq_cst);
  channel_.header().ready.insert(slot_number_);
  // A leader that sleeps is woken when the outbox is half full: early enough that nobody waits, seldom enough that
  // waking costs nothing. The executor wakes it anyway before it goes idle.
  if (tail - slot_.head.load(std::memory_order_relaxed) > outbox_bytes / 2) {
    channel_.ring_leader();
  } else {
    channel_.note_for_leader();
  }
}

void OutboxWriter::write_failure(std::uint64_t task, detail::Bytes image) {
  const bool in_block = image.size() > max_inline_bytes;
  const LentBlock block = in_block ? borrow_block(image.size(), "exception") : LentBlock{};
  RecordHeader* header = place_record(in_block ? 0 : image.size());
  header->kind = RecordKind::failure;
  header->lot = lot_;
  header->first = task;
  header->count.store(1, std::memory_order_relaxed);
  header->bytes = image.size();
  header->capacity = block.bytes;
  header->block = block.offset;
  std::byte* payload = in_block ? channel_.at(block.offset) : reinterpret_cast<std::byte*>(header + 1);
  if (!image.empty()) std::memcpy(payload, image.data(), image.size());
  publish(record_span(in_block ? 0 : image.size()));
}

}  // namespace rankpool::host
