// Claiming chunks: the executors' side of the posted lots.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <tuple>
#include <utility>

#include "host/channel.hpp"
#include "scheduler/chunking.hpp"

namespace rankpool::host {

/// A chunk an executor owns, with what it needs of its lot.
struct ClaimedChunk {
  std::uint32_t lot_slot = 0;
  std::uint64_t lot = 0;
  std::uint64_t call = 0;
  std::uint64_t image = 0;
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::uint64_t piece_first = 0;
  std::uint64_t data = 0;
  std::uint64_t offsets = 0;
  std::uint32_t attempt = 1;
};

class Claimer {
 public:
  Claimer(Channel& channel, std::uint32_t slot) : channel_(channel), number_(slot), slot_(channel.slot(slot)) {}

  /// Claims a chunk of at most `most` tasks from any open lot, the current one first. `measured` gives the tasks that
  /// fill the target time, by call id.
  template <typename Measured>
  bool claim(std::uint64_t most, Measured&& measured) {
    const std::uint64_t open = channel_.header().open_lots.load(std::memory_order_seq_cst);
    if (std::exchange(turn_, Turn::goes_on) == Turn::is_over) current_ = next_in_turn(open);
    // From the current lot upwards and around: lots are posted in this order.
    std::uint64_t order = std::rotr(open, static_cast<int>(current_));
    for (; order != 0; order &= order - 1) {
      const auto i = (current_ + static_cast<std::uint32_t>(std::countr_zero(order))) % max_lots;
      if (try_lot(i, most, measured)) {
        current_ = i;
        last_call_ = chunk_.call;
        return true;
      }
    }
    let_go();
    return false;
  }

  /// The next chunk is another call's, if one is open: a call of short tasks must not wait for the end of one of long
  /// tasks.
  void take_turns() { turn_ = Turn::is_over; }
  /// Whether the chunk has tasks from there on.
  [[nodiscard]] bool has_from(std::uint64_t first) const {
    return first < slot_.chunk_end.load(std::memory_order_relaxed);
  }
  /// Those are for others. @returns false, and they stay mine, where the leader has yet to take what was given back
  /// before.
  bool give_back(std::uint64_t first) {
    AtomicSet& returning = channel_.header().returning;
    const std::uint64_t end = slot_.chunk_end.load(std::memory_order_relaxed);
    if (returning.contains(number_)) return false;
    slot_.returned_first.store(first, std::memory_order_relaxed);
    slot_.returned_end.store(end, std::memory_order_relaxed);
    slot_.returned_lot.store(chunk_.lot, std::memory_order_relaxed);
    // Before it is told: who dies from here on has left tasks that are nobody's, which go back all the same.
    slot_.chunk_end.store(first, std::memory_order_release);
    returning.insert(number_);
    channel_.ring_leader();
    return true;
  }
  /// The chunk's results are all published.
  void finish_chunk() { slot_.chunk_end.store(0, std::memory_order_release); }
  /// Nothing is claimed or about to be.
  void let_go() { slot_.claiming.store(0, std::memory_order_release); }

  [[nodiscard]] const ClaimedChunk& chunk() const { return chunk_; }

 private:
  enum class Turn : std::uint8_t { goes_on, is_over };

  /// The lot of the next call around that has the first tasks: who reads a stream waits for those.
  [[nodiscard]] std::uint32_t next_in_turn(std::uint64_t open) const {
    constexpr auto relaxed = std::memory_order_relaxed;
    std::tuple next(true, ~std::uint64_t{0}, ~std::uint64_t{0}, current_);
    for (; open != 0; open &= open - 1) {
      const auto i = static_cast<std::uint32_t>(std::countr_zero(open));
      const LotSlot& lot = channel_.header().lots[i];
      const std::uint64_t call = lot.call.load(relaxed);
      next = std::min(next, std::tuple(call <= last_call_, call, lot.first.load(relaxed), i));
    }
    return std::get<3>(next);
  }

  template <typename Measured>
  bool try_lot(std::uint32_t i, std::uint64_t most, Measured& measured) {
    LotSlot& lot = channel_.header().lots[i];
    // Before the claim itself: whoever cleans up after this process must know where it may have claimed.
    if (slot_.claiming.load(std::memory_order_relaxed) != i + 1) slot_.claiming.store(i + 1, std::memory_order_seq_cst);
    std::uint64_t word = lot.claim.load(std::memory_order_seq_cst);
    for (;;) {
      const std::uint64_t next = ClaimWord::next(word);
      const std::uint64_t count = read(lot);
      if (next >= count) return false;
      const auto& image = *reinterpret_cast<const CallHeader*>(channel_.at(chunk_.image));
      const std::uint64_t first = chunk_.first + next;
      const std::uint64_t size = std::min(most, chunk_size(lot, image, first, chunk_.first + count, measured));
      const std::uint64_t after = word + size;
      if (!lot.claim.compare_exchange_weak(word, after, std::memory_order_seq_cst)) continue;
      if (next + size == count) announce_exhausted(i);
      // From here on the slot may be another lot's.
      slot_.chunk_lot.store(chunk_.lot, std::memory_order_relaxed);
      slot_.chunk_first.store(first, std::memory_order_relaxed);
      slot_.chunk_end.store(first + size, std::memory_order_release);
      chunk_.lot_slot = i;
      chunk_.first = first;
      chunk_.count = size;
      return true;
    }
  }

  /// Reads the lot's fields; they count only if the compare-exchange then succeeds. @returns its number of tasks.
  std::uint64_t read(const LotSlot& lot) {
    constexpr auto relaxed = std::memory_order_relaxed;
    const std::uint64_t before = std::exchange(chunk_.lot, lot.lot.load(relaxed));
    chunk_.call = lot.call.load(relaxed);
    chunk_.image = lot.image.load(relaxed);
    chunk_.first = lot.first.load(relaxed);
    chunk_.piece_first = lot.piece_first.load(relaxed);
    chunk_.data = lot.data.load(relaxed);
    chunk_.offsets = lot.offsets.load(relaxed);
    chunk_.attempt = lot.attempt.load(relaxed);
    if (chunk_.lot != before) {  // both are the leader's lines, and come together
      __builtin_prefetch(channel_.at(chunk_.image));
      __builtin_prefetch(channel_.at(chunk_.data));
    }
    return lot.count.load(relaxed);
  }

  template <typename Measured>
  std::uint64_t chunk_size(const LotSlot& lot, const CallHeader& image, std::uint64_t next, std::uint64_t end,
                           Measured& measured) {
    const scheduler::ChunkPolicy policy{.schedule = static_cast<Schedule>(image.schedule),
                                        .chunksize = image.chunksize,
                                        .total = lot.total.load(std::memory_order_relaxed),
                                        .executors = lot.executors.load(std::memory_order_relaxed),
                                        .measured = measured(chunk_.call)};
    return std::max<std::uint64_t>(1, scheduler::next_chunk(policy, next, end));
  }

  /// Its last chunk is claimed: spares the others the look. A leader that sleeps may have to post the next lot; one
  /// that is awake hears of it by the results.
  void announce_exhausted(std::uint32_t i) {
    const std::uint64_t bit = std::uint64_t{1} << i;
    const std::uint64_t before = channel_.header().open_lots.fetch_and(~bit, std::memory_order_seq_cst);
    if ((before & ~bit) == 0 && channel_.header().sleeping.load(std::memory_order_relaxed) != 0) channel_.ring_leader();
  }

  Channel& channel_;
  std::uint32_t number_;
  ExecutorSlot& slot_;
  ClaimedChunk chunk_;
  std::uint32_t current_ = 0;
  std::uint64_t last_call_ = 0;  ///< of which a chunk was claimed
  Turn turn_ = Turn::goes_on;
};

}  // namespace rankpool::host
