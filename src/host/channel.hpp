// The shared-memory channel of a node: what the leader rank, the zygotes and the executors all map.
//
//   leader   posts lots in `lots`, sets their bit in `open_lots`, wakes executors that sleep
//   executor claims a chunk by one compare-exchange on the lot's claim word, runs it, puts records in its outbox,
//            sets its bit in `ready` and rings the leader when the leader may have something to do
//   executor works on the shared objects of its pool, in the memory of the master's node; elsewhere, and for what only
//            the master can do, it puts a question in its mailbox and sets its bit in `mail`
//   zygote   writes an executor's pid and exit status, keeps the roll of its executors, which they can't see, names
//            the modules of its crash, and sets its bit in `exited`
//
// Everything here is written so that a process may be killed between any two instructions.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include <rankpool/detail/call.hpp>
#include <rankpool/detail/code_address.hpp>

#include "host/last_words.hpp"
#include "host/mailbox.hpp"
#include "host/progress.hpp"
#include "host/shared_memory.hpp"
#include "host/slots.hpp"
#include "support/futex.hpp"
#include "support/process_watch.hpp"

namespace rankpool::host {

inline constexpr std::uint32_t max_lots = 64;       ///< one bit each in a word
inline constexpr std::uint32_t max_members = 1024;  ///< ranks of one node
inline constexpr std::size_t cache_line = 64;
/// Large enough that an executor rarely waits for the leader, small enough to stay in the cache.
inline constexpr std::uint64_t outbox_bytes = std::uint64_t{512} << 10U;

/// A lot's claim word: the lot slot's generation and the next task to be claimed, counted from the lot's start.
/// Both in one word, so that an executor that comes late cannot claim from the slot's next lot.
struct ClaimWord {
  static constexpr unsigned next_bits = 38;
  static constexpr std::uint64_t next_mask = (std::uint64_t{1} << next_bits) - 1;

  static constexpr std::uint64_t make(std::uint64_t generation, std::uint64_t next) {
    return generation << next_bits | next;
  }
  static constexpr std::uint64_t next(std::uint64_t word) { return word & next_mask; }
  static constexpr std::uint64_t generation(std::uint64_t word) { return word >> next_bits; }
  /// Nothing can be claimed.
  static constexpr std::uint64_t closed = next_mask;
};

/// A posted lot. The fields are stable from the moment the claim word opens until the lot leaves the slot; an
/// executor that reads them earlier or later finds out by its compare-exchange. Relaxed atomics, because such a read
/// may race.
struct alignas(cache_line) LotSlot {
  using Field = std::atomic<std::uint64_t>;
  std::atomic<std::uint64_t> claim{ClaimWord::make(0, ClaimWord::closed)};
  Field lot{0};
  Field call{0};   ///< id
  Field image{0};  ///< offset of the call's CallHeader
  Field first{0};  ///< task index in the call
  Field count{0};
  Field piece_first{0};
  Field data{0};
  Field offsets{0};
  Field total{0};
  std::atomic<std::uint32_t> attempt{0};
  std::atomic<std::uint32_t> executors{0};
};

/// A call's image in the arena; the callable's bytes follow it.
struct CallHeader {
  detail::CodeAddress kernel;
  std::uint64_t input_stride;
  std::uint64_t chunksize;
  std::uint64_t callable_bytes;
  std::uint64_t random_numbers;
  std::uint32_t schedule;
  std::atomic<std::uint32_t> stop;  ///< 1: nobody waits for the tasks any more; they may ask
};

enum class SlotState : std::uint32_t {
  vacant,     ///< no process
  starting,   ///< forked; the initializer has not ended
  serving,    ///< takes chunks
  retiring,   ///< leaves by itself: the channel closes, or max_tasks_per_child is reached
  exited,     ///< reaped; wait_status tells
  unforkable  ///< fork failed; wait_status is errno
};

[[nodiscard]] constexpr bool has_process(SlotState state) {
  return state == SlotState::starting || state == SlotState::serving || state == SlotState::retiring;
}

enum class SlotCommand : std::uint32_t {
  none,
  spawn,
  kill,
  expire  ///< kill, if it is still where the slot's `expired` says
};

/// One executor's place. What one side writes often is kept off the other side's cache line.
struct alignas(cache_line) ExecutorSlot {  // NOLINT(clang-analyzer-optin.performance.Padding)
  // Written by zygote and leader.
  std::atomic<SlotState> state{SlotState::vacant};
  std::atomic<SlotCommand> command{SlotCommand::none};  ///< for the rank that owns the slot
  std::atomic<std::int32_t> pid{0};
  std::atomic<std::int32_t> wait_status{0};
  std::atomic<std::uint32_t> overtime{0};          ///< 1: its zygote killed it where `expired_…` says
  std::uint32_t member = 0;                        ///< the rank that forks this executor; see Channel::member()
  std::int32_t rank = 0;                           ///< the same, see Channel::rank()
  alignas(cache_line) support::Bell bell;          ///< the executor sleeps here
  std::atomic<std::uint64_t> head{0};              ///< outbox consumed up to here
  std::atomic<std::uint64_t> granted{0};           ///< the leader's answer to `asks`; 0 none yet, no_block refused
  std::atomic<std::uint64_t> spare{0};             ///< a block lent before, back for the next result; 0 none
  std::atomic<std::uint64_t> expired_tail{0};      ///< where the executor was when its task's time was over
  std::atomic<std::uint64_t> expired_finished{0};  ///< the same

  // Written by the executor.
  alignas(cache_line) std::atomic<std::uint64_t> tail{0};  ///< outbox published up to here
  std::atomic<std::uint64_t> open_run{0};                  ///< 1 + outbox position of the run being written; 0 none
  std::atomic<std::uint32_t> claiming{0};                  ///< 1 + lot slot it claims from or works on; 0 none
  std::atomic<std::uint32_t> waits_for_space{0};
  std::atomic<std::uint32_t> served{0};     ///< this process has passed its initializer
  std::atomic<std::uint64_t> chunk_lot{0};  ///< lot of the chunk
  std::atomic<std::uint64_t> chunk_first{0};
  std::atomic<std::uint64_t> chunk_end{0};     ///< 0: no chunk
  std::atomic<std::uint64_t> returned_lot{0};  ///< of the rest of a chunk that it gives back
  std::atomic<std::uint64_t> returned_first{0};
  std::atomic<std::uint64_t> returned_end{0};  ///< 0: the leader has taken it
  std::atomic<std::uint64_t> wanted{0};        ///< bytes of the block asked for
  std::atomic<std::uint64_t> unwanted{0};      ///< spare block given back with the question; 0 none
  std::atomic<std::uint64_t> asks{0};          ///< questions so far

  static constexpr std::uint64_t no_block = ~std::uint64_t{0};

  /// Clears what the last executor left, for the next one. `asks` goes on: nothing asked before is answered after.
  void vacate();
};

/// Which process a slot's executor is, where no executor can write: for those that kill it when its zygote is gone.
class RollEntry {
 public:
  // The zygote's side.
  void enter(const support::ProcessIdentity& process) noexcept {
    start_.store(process.start);
    pid_.store(process.pid);
  }
  void strike() noexcept { pid_.store(0); }

  /// @returns pid 0 where there is none.
  [[nodiscard]] support::ProcessIdentity process() const noexcept { return {pid_.load(), start_.load()}; }

 private:
  std::atomic<std::int32_t> pid_{0};
  std::atomic<std::uint64_t> start_{0};
};

enum class Phase : std::uint32_t {
  open,
  closing,  ///< executors leave when they find nothing to claim
  closed    ///< no executor left; ranks let go of the channel
};

/// A set of executor numbers that many processes change.
class AtomicSet {
 public:
  static constexpr unsigned bits = 64;

  /// @returns whether it was not there yet.
  bool insert(std::uint32_t i) noexcept {
    auto& word = words_[i / bits];
    const std::uint64_t bit = std::uint64_t{1} << (i % bits);
    if ((word.load(std::memory_order_seq_cst) & bit) != 0) return false;
    return (word.fetch_or(bit, std::memory_order_seq_cst) & bit) == 0;
  }
  /// @returns whether it was there.
  bool erase(std::uint32_t i) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << (i % bits);
    return (words_[i / bits].fetch_and(~bit, std::memory_order_seq_cst) & bit) != 0;
  }
  [[nodiscard]] bool contains(std::uint32_t i) const noexcept {
    return (words_[i / bits].load(std::memory_order_seq_cst) >> (i % bits) & 1U) != 0;
  }
  [[nodiscard]] std::uint32_t size(std::uint32_t slots) const noexcept {
    int size = 0;
    for (std::uint32_t w = 0; w * bits < slots; ++w) size += std::popcount(words_[w].load(std::memory_order_seq_cst));
    return static_cast<std::uint32_t>(size);
  }
  [[nodiscard]] bool empty(std::uint32_t slots) const noexcept {
    for (std::uint32_t w = 0; w * bits < slots; ++w) {
      if (words_[w].load(std::memory_order_seq_cst) != 0) return false;
    }
    return true;
  }
  /// Visits every member that is one of `slots`.
  template <typename Visit>
  void for_each(std::uint32_t slots, Visit&& visit) const {
    for (std::uint32_t w = 0; w * bits < slots; ++w) {
      for (std::uint64_t members = words_[w].load(std::memory_order_seq_cst); members != 0; members &= members - 1) {
        const std::uint32_t i = w * bits + static_cast<std::uint32_t>(std::countr_zero(members));
        if (i < slots) visit(i);
      }
    }
  }
  /// Takes every member out and visits it, if it is one of `slots`.
  template <typename Visit>
  void drain(std::uint32_t slots, Visit&& visit) {
    for (std::uint32_t w = 0; w * bits < slots; ++w) {
      if (words_[w].load(std::memory_order_seq_cst) == 0) continue;
      std::uint64_t members = words_[w].exchange(0, std::memory_order_seq_cst);
      for (; members != 0; members &= members - 1) {
        const std::uint32_t i = w * bits + static_cast<std::uint32_t>(std::countr_zero(members));
        if (i < slots) visit(i);
      }
    }
  }
  /// Takes up to `wanted` members out and visits them.
  template <typename Visit>
  void take(std::uint32_t slots, std::uint64_t wanted, Visit&& visit) {
    for (std::uint32_t w = 0; w * bits < slots && wanted > 0; ++w) {
      std::uint64_t members = words_[w].load(std::memory_order_seq_cst);
      for (; members != 0 && wanted > 0; members &= members - 1) {
        const std::uint32_t i = w * bits + static_cast<std::uint32_t>(std::countr_zero(members));
        if (!erase(i) || i >= slots) continue;
        visit(i);
        --wanted;
      }
    }
  }

 private:
  std::array<std::atomic<std::uint64_t>, max_executors / bits> words_{};
};

/// What executors need to know of the pool; written by the leader before the first one is forked.
struct ExecutorSettings {
  std::uint64_t max_tasks_per_child = 0;  ///< 0: no limit
  std::uint64_t memory_limit = 0;         ///< bytes an executor may allocate; 0: no limit
  std::uint64_t initializer = 0;          ///< offset of a CallHeader; 0: none
  std::uint64_t seed = 0;                 ///< of the tasks' random numbers
  std::uint64_t pool = 0;                 ///< names it to shared objects
  std::uint32_t threads_per_task = 1;
  std::uint32_t cpus = 1;  ///< CPUs that there are; to judge whether spinning pays
  std::array<std::uint64_t, 16> cpu_mask{};
  std::array<std::uint16_t, 1024> cpu_owners{};  ///< 1 + the slot that is bound to the CPU; 0: none
  std::array<char, 64> host{};
};

struct ChannelHeader {  // NOLINT(clang-analyzer-optin.performance.Padding): as above
  std::uint64_t magic = 0;
  std::uint32_t slots = 0;  ///< spare ones, too
  std::uint32_t base = 0;   ///< the first of them, which are not spare
  std::uint32_t members = 0;
  support::ProcessIdentity leader;  ///< see Channel::leader()
  ExecutorSettings settings;
  std::atomic<Phase> phase{Phase::open};

  // The leader sleeps on `bell` after it has set `sleeping` and found `attention` unset.
  alignas(cache_line) support::Bell bell;
  std::atomic<std::uint32_t> sleeping{0};
  alignas(cache_line) std::atomic<std::uint32_t> attention{0};
  alignas(cache_line) AtomicSet ready;     ///< outboxes with something new
  AtomicSet exited;                        ///< slots whose state a zygote changed
  AtomicSet asking;                        ///< slots that want a block
  AtomicSet returning;                     ///< slots that give the rest of a chunk back
  AtomicSet mail;                          ///< slots whose mailbox waits for the leader
  std::atomic<std::uint32_t> far_rung{0};  ///< 1: one that uses shared objects, not from here, was rung
  alignas(cache_line) AtomicSet sleepers;  ///< executors asleep for lack of work
  AtomicSet resting;                       ///< executors asleep in a task, which waits for others
  AtomicSet blocked;                       ///< those that have been waiting for long
  AtomicSet away;                          ///< spare slots without a process, or whose executor is not needed now
  AtomicSet spinners;                      ///< executors about to fall asleep, that look for work until then
  alignas(cache_line) std::atomic<std::uint64_t> open_lots{0};
  /// Executors that want a CPU, as far as can be told.
  [[nodiscard]] std::uint32_t awake() const noexcept {
    return slots - sleepers.size(slots) - resting.size(slots) - away.size(slots);
  }

  /// Offset of the table of those who use shared objects; 0 where there are none, or not here.
  std::atomic<std::uint64_t> participants{0};
  std::atomic<std::int32_t> leader_cpu{-1};  ///< where it was when it last put up a lot
  std::array<LotSlot, max_lots> lots{};
  alignas(cache_line) std::array<support::Bell, max_members> member_bells{};
};

/// Where the first executor's outbox is in a channel with so many slots: in the last of the fixed parts, for those of
/// spare slots have no memory until they are needed.
[[nodiscard]] std::uint64_t outboxes_offset(std::uint64_t slots);

/// A process's view of the channel.
class Channel {
 public:
  struct Config {
    std::vector<std::int32_t> slot_ranks;     ///< the rank of each executor slot that is not spare
    std::vector<std::uint32_t> slot_members;  ///< the same, counted within the node
    std::uint32_t members = 1;
    ExecutorSettings settings;
    std::size_t reservation = 0;  ///< bytes of address space; 0: twice the machine's memory
  };

  /// The leader makes it. Throws std::system_error.
  explicit Channel(const Config& config);
  /// Others attach to it. Throws std::system_error; std::runtime_error when it isn't a channel of this version.
  explicit Channel(SharedMemory memory);

  ChannelHeader& header() { return *header_; }
  ExecutorSlot& slot(std::uint32_t i) { return slots_[i]; }
  [[nodiscard]] std::uint32_t slots() const { return slot_count_; }
  /// Those that always have an executor; the others are spare, for tasks that wait.
  [[nodiscard]] std::uint32_t base() const { return base_count_; }
  [[nodiscard]] bool is_spare(std::uint32_t slot) const { return slot >= base_count_; }
  /// Executors in spare slots that serve or soon will.
  [[nodiscard]] std::uint32_t spares() const noexcept {
    const std::uint32_t spare = slot_count_ - base_count_;
    return spare - std::min(spare, header_->away.size(slot_count_));
  }
  [[nodiscard]] std::uint32_t members() const { return member_count_; }
  /// The rank that forks the slot's executor, counted within the node.
  [[nodiscard]] std::uint32_t member(std::uint32_t slot) const { return places_[slot].member; }
  /// The same, in the pool's communicator.
  [[nodiscard]] std::int32_t rank(std::uint32_t slot) const { return places_[slot].rank; }
  [[nodiscard]] const support::ProcessIdentity& leader() const { return leader_; }
  /// How far the slot's executor has come; exact when it stands still.
  [[nodiscard]] Progress progress(std::uint32_t slot);
  /// What the slot's executor leaves behind; not on the pages that are read while tasks run.
  LastWords& last_words(std::uint32_t slot) { return last_words_[slot]; }
  RollEntry& roll(std::uint32_t slot) { return roll_[slot]; }
  Mailbox& mailbox(std::uint32_t slot) { return mailboxes_[slot]; }
  /// A spare slot's executor is to be forked: its outbox gets its memory. Throws std::system_error.
  void furnish(std::uint32_t slot);
  /// What this process forks from now on has no roll.
  void keep_roll_from_children() noexcept;
  std::byte* outbox(std::uint32_t slot) { return memory_.base() + outboxes_ + slot * outbox_bytes; }
  std::byte* at(std::uint64_t offset) { return memory_.base() + offset; }
  SharedMemory& memory() { return memory_; }
  /// First offset behind the channel's fixed parts.
  [[nodiscard]] std::uint64_t arena_begin() const { return arena_begin_; }

  /// Tells the leader that there is something to look at; wakes it if it sleeps. Async-signal-safe.
  void ring_leader() noexcept;
  /// The same without waking it: it looks when it next wakes.
  void note_for_leader() noexcept;
  /// One that uses shared objects, not from here, may go on.
  void ring_far() noexcept;

 private:
  struct Place {
    std::uint32_t member;
    std::int32_t rank;
  };

  void find_parts();
  void learn_facts();

  SharedMemory memory_;
  ChannelHeader* header_ = nullptr;
  ExecutorSlot* slots_ = nullptr;
  LastWords* last_words_ = nullptr;
  Mailbox* mailboxes_ = nullptr;
  RollEntry* roll_ = nullptr;
  std::uint64_t outboxes_ = 0;
  std::uint64_t arena_begin_ = 0;
  // As the channel told before a task could write there.
  std::uint32_t slot_count_ = 0;
  std::uint32_t base_count_ = 0;
  std::uint32_t member_count_ = 0;
  support::ProcessIdentity leader_;
  std::vector<Place> places_;  ///< by slot
};

}  // namespace rankpool::host
