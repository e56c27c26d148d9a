// Tasks that run longer than their call allows: found by looking at how far the executors have come.
#include "host/shared_host.hpp"

namespace rankpool::host {

void SharedHost::watch_tasks() {
  const auto now = TaskWatch::Clock::now();
  if (life_ != Life::running || !watch_.start_round(now)) return;
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    // Before the call is looked up: a task that has begun since is not this one.
    const Progress progress = channel_.progress(slot);
    const auto limit = limit_of_task(slot);
    if (!limit) {
      watch_.pass_over(slot);
    } else if (watch_.exceeds(slot, progress, *limit, now)) {
      expire(slot, {progress, *limit});
    }
  }
}

// None while the executor runs nothing, or waits until the leader has read its results or lent it memory.
std::optional<std::chrono::nanoseconds> SharedHost::limit_of_task(std::uint32_t slot) {
  const ExecutorSlot& executor = channel_.slot(slot);
  if (executor.chunk_end.load(std::memory_order_acquire) == 0) return std::nullopt;
  if (executor.waits_for_space.load() != 0 || executor.asks.load() != executors_[slot].answered) return std::nullopt;
  const LotAccount* account = board_.account_of(executor.chunk_lot.load());
  return account == nullptr ? std::nullopt : watch_.limit(account->lot().call);
}

// The zygote makes sure that the executor has not gone on by then.
void SharedHost::expire(std::uint32_t slot, const Expiry& expiry) {
  auto& ordered = executors_[slot].expiry;
  if (ordered && ordered->progress == expiry.progress) return;
  ExecutorSlot& executor = channel_.slot(slot);
  if (executor.command.load() != SlotCommand::none) return;  // that goes first
  executor.expired_tail.store(expiry.progress.tail);
  executor.expired_finished.store(expiry.progress.finished);
  ordered = expiry;
  order(slot, SlotCommand::expire);
}

// The time that the task of a dead executor had, if that is what the executor was killed for; 0 otherwise.
std::chrono::nanoseconds SharedHost::exceeded_limit(std::uint32_t slot) {
  const auto& expiry = executors_[slot].expiry;
  return expiry && channel_.slot(slot).overtime != 0 ? expiry->limit : std::chrono::nanoseconds{};
}

}  // namespace rankpool::host
