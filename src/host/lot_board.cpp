#include "host/lot_board.hpp"

#include <sched.h>

#include <algorithm>

namespace rankpool::host {

void LotBoard::post(const Lot& lot, std::uint64_t image) {
  const Waiting waiting{lot, image};
  const auto slot = waiting_.empty() ? free_slot() : std::nullopt;
  if (slot) {
    put_up(waiting, *slot);
  } else {
    waiting_.push_back(waiting);
  }
}

// Around the slots in turn, because executors look for lots in this order.
std::optional<std::uint32_t> LotBoard::free_slot() {
  for (std::uint32_t i = 0; i < max_lots; ++i) {
    const std::uint32_t slot = (next_slot_ + i) % max_lots;
    if (accounts_[slot]) continue;
    next_slot_ = (slot + 1) % max_lots;
    return slot;
  }
  return std::nullopt;
}

void LotBoard::park_for_waiting() {
  for (std::uint32_t slot = 0; slot < max_lots && !waiting_.empty(); ++slot) {
    if (!exhausted(slot) || is_being_claimed(slot)) continue;
    parked_.emplace(accounts_[slot]->lot().id, Parked{*accounts_[slot], slot});
    close(slot);
    put_up_next();
  }
}

// Of one that is used up: whether an executor may have yet to clear the slot's bit, which would then be another lot's.
bool LotBoard::is_being_claimed(std::uint32_t slot) const {
  for (std::uint32_t i = 0; i < channel_.slots(); ++i) {
    const ExecutorSlot& executor = channel_.slot(i);
    const bool is_here = executor.claiming.load(std::memory_order_seq_cst) == slot + 1;
    if (is_here && executor.chunk_end.load(std::memory_order_acquire) == 0) return true;
  }
  return false;
}

void LotBoard::put_up_next() {
  if (waiting_.empty()) return;
  const Waiting next = waiting_.front();
  waiting_.pop_front();
  put_up(next, *free_slot());
}

void LotBoard::put_up(const Waiting& waiting, std::uint32_t slot) {
  const Lot& lot = waiting.lot;
  constexpr auto relaxed = std::memory_order_relaxed;
  LotSlot& posted = channel_.header().lots[slot];
  // Orders the fields below behind the word's closing for executors that still read the slot's last lot.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  // The claim word has been closed, in a new generation, since the slot's last lot left it.
  posted.lot.store(lot.id, relaxed);
  posted.call.store(lot.call, relaxed);
  posted.image.store(waiting.image, relaxed);
  posted.first.store(lot.first, relaxed);
  posted.count.store(lot.count, relaxed);
  posted.piece_first.store(lot.piece.first, relaxed);
  posted.data.store(lot.piece.data, relaxed);
  posted.offsets.store(lot.piece.offsets, relaxed);
  posted.total.store(lot.total, relaxed);
  posted.attempt.store(lot.attempt, relaxed);
  posted.executors.store(lot.executors, relaxed);
  accounts_[slot].emplace(lot);
  outstanding_ += lot.count;
  slots_.emplace(lot.id, slot);
  const std::uint64_t generation = ClaimWord::generation(posted.claim.load(relaxed));
  posted.claim.store(ClaimWord::make(generation, 0), std::memory_order_seq_cst);
  channel_.header().leader_cpu.store(sched_getcpu(), relaxed);
  channel_.header().open_lots.fetch_or(std::uint64_t{1} << slot, std::memory_order_seq_cst);
  wake_executors();
}

void LotBoard::wake_executors() {
  if (channel_.header().sleepers.empty(channel_.slots())) return;
  const std::uint64_t unclaimed = unclaimed_tasks();
  const std::uint64_t looking = executors_looking(outstanding_ - std::min(outstanding_, unclaimed));
  if (unclaimed > looking) wake(unclaimed - looking);
}

std::uint64_t LotBoard::unattended_tasks() const {
  const std::uint64_t unclaimed = unclaimed_tasks();
  if (unclaimed == 0) return 0;
  const std::uint64_t attended = executors_looking(outstanding_ - std::min(outstanding_, unclaimed)) +
                                 channel_.header().sleepers.size(channel_.slots());
  return unclaimed - std::min(unclaimed, attended);
}

void LotBoard::wake_for_all_unclaimed() {
  if (!channel_.header().sleepers.empty(channel_.slots())) wake(unclaimed_tasks());
}

void LotBoard::wake(std::uint64_t executors) {
  channel_.header().sleepers.take(channel_.slots(), executors,
                                  [this](std::uint32_t i) { channel_.slot(i).bell.ring(); });
}

std::uint64_t LotBoard::unclaimed_tasks() const {
  const ChannelHeader& header = channel_.header();
  std::uint64_t unclaimed = 0;
  for (std::uint64_t open = header.open_lots.load(std::memory_order_seq_cst); open != 0; open &= open - 1) {
    const auto slot = static_cast<std::uint32_t>(std::countr_zero(open));
    if (!accounts_[slot]) continue;
    const std::uint64_t count = accounts_[slot]->lot().count;
    unclaimed += count - std::min(count, ClaimWord::next(header.lots[slot].claim.load(std::memory_order_seq_cst)));
  }
  return unclaimed;
}

/// Those that look for work need no ring, nor do those that soon will: they are awake, and have told of all that they
/// have claimed. One that goes to sleep looks once more when it is among the sleepers.
std::uint64_t LotBoard::executors_looking(std::uint64_t tasks_under_way) const {
  const ChannelHeader& header = channel_.header();
  const std::uint64_t spinning = header.spinners.size(channel_.slots());
  if (header.settings.max_tasks_per_child != 0) return spinning;  // the others may be about to leave
  const std::uint64_t asleep = header.sleepers.size(channel_.slots());
  const std::uint64_t not_free = asleep + tasks_under_way;
  return std::max(spinning, serving_ - std::min(serving_, not_free));
}

TaskRange LotBoard::take_back(LotId lot) {
  const auto waits = std::ranges::find_if(waiting_, [lot](const Waiting& waiting) { return waiting.lot.id == lot; });
  if (waits != waiting_.end()) {
    const TaskRange all{waits->lot.first, waits->lot.count};
    waiting_.erase(waits);
    return all;
  }
  const auto found = slots_.find(lot);
  if (found == slots_.end()) return {};
  const std::uint32_t slot = found->second;
  auto& claim = channel_.header().lots[slot].claim;
  const std::uint64_t count = accounts_[slot]->lot().count;
  std::uint64_t word = claim.load(std::memory_order_seq_cst);
  do {
    if (ClaimWord::next(word) >= count) return {};
  } while (!claim.compare_exchange_weak(word, ClaimWord::make(ClaimWord::generation(word), count),
                                        std::memory_order_seq_cst));
  channel_.header().open_lots.fetch_and(~(std::uint64_t{1} << slot), std::memory_order_seq_cst);
  const TaskRange rest{accounts_[slot]->lot().first + ClaimWord::next(word), count - ClaimWord::next(word)};
  settle(lot, rest.first, rest.count);
  return rest;
}

void LotBoard::take_back_all() {
  waiting_.clear();
  for (const auto& account : accounts_) {
    if (account) take_back(account->lot().id);
  }
}

bool LotBoard::settle(LotId lot, std::uint64_t first, std::uint64_t count) {
  const auto found = slots_.find(lot);
  if (found == slots_.end()) return settle_parked(lot, first, count);
  const std::uint32_t slot = found->second;
  if (!accounts_[slot]->settle(first, count)) return false;
  outstanding_ -= count;
  if (accounts_[slot]->outstanding() == 0) {
    close(slot);
    put_up_next();
  }
  return true;
}

bool LotBoard::settle_parked(LotId lot, std::uint64_t first, std::uint64_t count) {
  const auto found = parked_.find(lot);
  if (found == parked_.end() || !found->second.account.settle(first, count)) return false;
  outstanding_ -= count;
  if (found->second.account.outstanding() == 0) parked_.erase(found);
  return true;
}

void LotBoard::close(std::uint32_t slot) {
  auto& claim = channel_.header().lots[slot].claim;
  const std::uint64_t generation = ClaimWord::generation(claim.load(std::memory_order_relaxed));
  claim.store(ClaimWord::make(generation + 1, ClaimWord::closed), std::memory_order_seq_cst);
  // An executor that died between its claim and this may have left the bit.
  const std::uint64_t bit = std::uint64_t{1} << slot;
  auto& open = channel_.header().open_lots;
  if ((open.load(std::memory_order_seq_cst) & bit) != 0) open.fetch_and(~bit, std::memory_order_seq_cst);
  slots_.erase(accounts_[slot]->lot().id);
  accounts_[slot].reset();
}

LotAccount* LotBoard::account_of(LotId lot) {
  if (const auto found = slots_.find(lot); found != slots_.end()) return &*accounts_[found->second];
  const auto parked = parked_.find(lot);
  return parked == parked_.end() ? nullptr : &parked->second.account;
}

void LotBoard::hide_exhausted() {
  for (std::uint32_t slot = 0; slot < max_lots; ++slot) {
    if (!accounts_[slot] || !exhausted(slot)) continue;
    channel_.header().open_lots.fetch_and(~(std::uint64_t{1} << slot), std::memory_order_seq_cst);
  }
}

bool LotBoard::has_begun(LotId lot) const {
  const auto found = slots_.find(lot);
  if (found == slots_.end()) return parked_.contains(lot);
  return ClaimWord::next(channel_.header().lots[found->second].claim.load(std::memory_order_seq_cst)) != 0;
}

bool LotBoard::is_exhausted(LotId lot) const {
  const auto found = slots_.find(lot);
  return found == slots_.end() || exhausted(found->second);
}

bool LotBoard::exhausted(std::uint32_t slot) const {
  return ClaimWord::next(channel_.header().lots[slot].claim.load(std::memory_order_seq_cst)) >=
         accounts_[slot]->lot().count;
}

}  // namespace rankpool::host
