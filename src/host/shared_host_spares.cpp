// Tasks that wait for others: they give back the rest of their chunk, and for each of them a spare executor serves, so
// that those they wait for get an executor.
#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "host/shared_host.hpp"

namespace rankpool::host {
namespace {

using Clock = std::chrono::steady_clock;

// Where a spare can't be had it is tried again after this long.
constexpr std::chrono::milliseconds next_try{200};

// So often in vain is for good, as far as those are concerned who wait for it.
constexpr std::uint32_t tries_in_vain = 5;

}  // namespace

// The bit last: until then the executor keeps what it has written. Another one's task may have set it.
void SharedHost::take_returned(std::uint32_t slot, HostListener& listener) {
  ExecutorSlot& executor = channel_.slot(slot);
  const LotId lot = executor.returned_lot.load(std::memory_order_acquire);
  const std::uint64_t first = executor.returned_first.load(std::memory_order_relaxed);
  const std::uint64_t end = executor.returned_end.exchange(0, std::memory_order_relaxed);
  channel_.header().returning.erase(slot);
  if (end == 0 || executors_[slot].sense == Sense::astray) return;
  const LotAccount* account = board_.account_of(lot);
  const bool sound = account != nullptr && end > first && account->holds(first, end);
  if (!sound || !board_.settle(lot, first, end - first)) return disbelieve(slot);
  listener.on_tasks_returned(lot, first, end - first);
}

void SharedHost::look_at_blocked(HostListener& listener) {
  Blocked now{.executors = channel_.header().blocked.size(channel_.slots())};
  if (now.executors == 0 && blocked_.executors == 0) return;
  board_.park_for_waiting();
  rouse_spares();
  now.all = now.executors >= present_ && everyone_is_blocked();
  if (now.executors == blocked_.executors && now.all == blocked_.all) return;
  if (now.all && can_start_none()) now.why = why_no_spare_;
  blocked_ = now;
  listener.on_blocked(now);
}

/// As many as there are blocked executors, if there is work for them that nobody else does.
void SharedHost::rouse_spares() {
  ChannelHeader& header = channel_.header();
  const std::uint32_t blocked = header.blocked.size(channel_.slots());
  if (blocked == 0 || life_ != Life::running) return;
  const std::uint32_t base = channel_.base();
  const std::uint32_t spares = channel_.slots() - base;
  std::uint64_t wanted =
      std::min<std::uint64_t>(blocked - std::min(blocked, channel_.spares()), board_.unattended_tasks());
  // Not always the same first: that one's rank may be unable to start any.
  for (std::uint32_t tried = 0; tried < spares && wanted != 0; ++tried) {
    const std::uint32_t slot = base + next_spare_;
    next_spare_ = (next_spare_ + 1) % spares;
    if (header.away.contains(slot) && rouse(slot)) --wanted;
  }
}

bool SharedHost::rouse(std::uint32_t spare) {
  if (executors_[spare].process == Process::none) return fork_spare(spare);
  if (!channel_.header().away.erase(spare)) return false;
  channel_.slot(spare).bell.ring();
  return true;
}

bool SharedHost::fork_spare(std::uint32_t slot) {
  if (others_.is_lost(executors_[slot].member) || Clock::now() < spares_again_) return false;
  try {
    channel_.furnish(slot);
  } catch (const std::system_error& error) {
    postpone_spares(error.what());  // those that wait may come to their end without it
    return false;
  }
  channel_.header().away.erase(slot);
  order(slot, SlotCommand::spawn);
  return true;
}

/// One could not be had.
void SharedHost::postpone_spares(const std::string& why) {
  const auto now = Clock::now();
  if (now >= spares_again_) ++spares_in_vain_;  // others of the same round may fail, too
  spares_again_ = now + next_try;
  why_no_spare_ = why;
}

bool SharedHost::can_start_none() const { return spares_in_vain_ >= tries_in_vain; }

/// Whether no executor can take a task up before one of those that wait goes on, as long as that takes.
bool SharedHost::everyone_is_blocked() {
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    if (channel_.header().blocked.contains(slot)) {
      if (limit_of_task(slot)) return false;
      continue;
    }
    const Executor& known = executors_[slot];
    if (known.process != Process::none) return false;
    const bool may_come = !others_.is_lost(known.member) && known.missing_because.empty();
    if (may_come && !(is_spare(slot) && can_start_none())) return false;
  }
  return true;
}

}  // namespace rankpool::host
