#include "host/channel.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <stdexcept>

#include "host/record.hpp"
#include "support/text.hpp"

namespace rankpool::host {
namespace {

constexpr std::uint64_t channel_magic = 0x72616e6b706f6f37;  // "rankpoo7": changes with the layout
constexpr std::size_t page = 4096;

constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t unit) { return (bytes + unit - 1) / unit * unit; }

// The kernel's pages, which may be larger.
std::uint64_t roll_alignment() { return std::max(page, static_cast<std::size_t>(sysconf(_SC_PAGESIZE))); }

std::uint64_t slots_offset() { return round_up(sizeof(ChannelHeader), cache_line); }

std::uint64_t last_words_offset(std::uint64_t slots) {
  return round_up(slots_offset() + slots * sizeof(ExecutorSlot), page);
}

std::uint64_t mailboxes_offset(std::uint64_t slots) {
  return round_up(last_words_offset(slots) + slots * sizeof(LastWords), page);
}

// Pages of its own.
std::uint64_t roll_offset(std::uint64_t slots) {
  return round_up(mailboxes_offset(slots) + slots * sizeof(Mailbox), roll_alignment());
}

std::uint64_t end_of_roll(std::uint64_t slots) {
  return round_up(roll_offset(slots) + slots * sizeof(RollEntry), roll_alignment());
}

std::uint64_t end_of_outboxes(std::uint64_t slots) { return outboxes_offset(slots) + slots * outbox_bytes; }

// Twice the memory leaves room for fragments; only what is used is ever reserved.
std::size_t default_reservation() {
  const auto pages = static_cast<std::size_t>(std::max(1L, sysconf(_SC_PHYS_PAGES)));
  return 2 * pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

std::size_t outboxes_of_spares(std::uint32_t executors) { return (slots_for(executors) - executors) * outbox_bytes; }

// What the user reserves is without the outboxes of spare executors, which mostly have no memory.
std::size_t reservation(const Channel::Config& config) {
  if (config.reservation == 0) return default_reservation();
  const auto base = static_cast<std::uint32_t>(config.slot_ranks.size());
  return config.reservation + outboxes_of_spares(base);
}

}  // namespace

std::uint64_t outboxes_offset(std::uint64_t slots) { return end_of_roll(slots); }

void ExecutorSlot::vacate() {
  for (auto* word : {&head, &granted, &spare, &tail, &open_run, &chunk_end, &returned_end}) word->store(0);
  for (auto* word : {&claiming, &waits_for_space, &served}) word->store(0);
  state.store(SlotState::vacant, std::memory_order_release);
}

Channel::Channel(const Config& config) : memory_(SharedMemory::create(reservation(config))) {
  const auto base = static_cast<std::uint32_t>(config.slot_ranks.size());
  const std::uint32_t slots = slots_for(base);
  if (slots > max_executors || config.members > max_members) {
    throw std::invalid_argument("rankpool: a node can have " + std::to_string(max_executors) +
                                " executors at most; lower RANKPOOL_PROCESSES or PoolOptions::processes");
  }
  if (const std::size_t least = end_of_outboxes(slots) + page; least > memory_.size()) {
    throw std::runtime_error("rankpool: RANKPOOL_CHANNEL_MB is too small for " + support::in_words(base, "executor") +
                             ": " + support::megabytes(least - outboxes_of_spares(base)) +
                             " is the least, and inputs and results need room, too");
  }
  memory_.commit(0, outboxes_offset(slots) + base * outbox_bytes);
  header_ = new (memory_.base()) ChannelHeader;
  header_->slots = slots;
  header_->base = base;
  header_->members = config.members;
  header_->leader = support::ProcessIdentity::of_this_process();
  header_->settings = config.settings;
  find_parts();
  for (std::uint32_t i = 0; i < slots; ++i) {
    auto* slot = new (slots_ + i) ExecutorSlot;
    slot->rank = config.slot_ranks[i % base];
    slot->member = config.slot_members[i % base];
    if (i >= base) header_->away.insert(i);
    new (last_words_ + i) LastWords;
    new (mailboxes_ + i) Mailbox;
    new (roll_ + i) RollEntry;
  }
  learn_facts();
  header_->magic = channel_magic;
}

Channel::Channel(SharedMemory memory) : memory_(std::move(memory)) {
  header_ = reinterpret_cast<ChannelHeader*>(memory_.base());
  if (memory_.size() < sizeof(ChannelHeader) || header_->magic != channel_magic) {
    throw std::runtime_error("rankpool: the shared memory is no channel of this version of rankpool");
  }
  find_parts();
  learn_facts();
}

void Channel::find_parts() {
  slots_ = reinterpret_cast<ExecutorSlot*>(memory_.base() + slots_offset());
  slot_count_ = header_->slots;
  base_count_ = header_->base;
  member_count_ = header_->members;
  last_words_ = reinterpret_cast<LastWords*>(memory_.base() + last_words_offset(slot_count_));
  mailboxes_ = reinterpret_cast<Mailbox*>(memory_.base() + mailboxes_offset(slot_count_));
  roll_ = reinterpret_cast<RollEntry*>(memory_.base() + roll_offset(slot_count_));
  outboxes_ = outboxes_offset(slot_count_);
  arena_begin_ = end_of_outboxes(slot_count_);
}

void Channel::keep_roll_from_children() noexcept {
  madvise(roll_, end_of_roll(slot_count_) - roll_offset(slot_count_), MADV_DONTFORK);
}

void Channel::furnish(std::uint32_t slot) { memory_.commit(outboxes_ + slot * outbox_bytes, outbox_bytes); }

void Channel::learn_facts() {
  leader_ = header_->leader;
  places_.reserve(slot_count_);
  for (std::uint32_t i = 0; i < slot_count_; ++i) places_.push_back({slots_[i].member, slots_[i].rank});
}

Progress Channel::progress(std::uint32_t slot) {
  const std::uint64_t open = slots_[slot].open_run.load(std::memory_order_acquire);
  const std::uint64_t tail = slots_[slot].tail.load(std::memory_order_acquire);
  // An executor that has gone astray may have written anything there.
  const bool is_record = open % record_alignment == 1 && to_ring_end(open - 1) >= sizeof(RecordHeader);
  if (!is_record) return {tail, Progress::no_run};
  const auto& run = *reinterpret_cast<const RecordHeader*>(outbox(slot) + (open - 1) % outbox_bytes);
  return {tail, run.count.load(std::memory_order_acquire)};
}

void Channel::note_for_leader() noexcept {
  if (header_->attention.load(std::memory_order_seq_cst) == 0) {
    header_->attention.store(1, std::memory_order_seq_cst);
  }
}

void Channel::ring_far() noexcept {
  header_->far_rung.store(1, std::memory_order_seq_cst);
  ring_leader();
}

void Channel::ring_leader() noexcept {
  note_for_leader();
  if (header_->sleeping.load(std::memory_order_seq_cst) != 0) header_->bell.ring();
}

}  // namespace rankpool::host
