// The lives of a host's executors: started, replaced when they die, ended.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string>

#include "host/member.hpp"
#include "host/shared_host.hpp"

namespace rankpool::host {
namespace {

using namespace std::chrono_literals;

// The leader's slots are those of member 0.
constexpr std::uint32_t leader_member = 0;

// An executor that dies this often in a row before it could serve will not do better the next time.
constexpr std::uint32_t most_early_deaths = 3;

constexpr auto look_up = 100ms;

bool has_process(SlotState state) {
  return state == SlotState::starting || state == SlotState::serving || state == SlotState::retiring;
}

}  // namespace

void SharedHost::order(std::uint32_t slot, SlotCommand command) {
  ExecutorSlot& executor = channel_.slot(slot);
  if (others_.is_lost(executor.member)) return;
  executor.command.store(command, std::memory_order_seq_cst);
  if (executor.member == leader_member) {
    carry_out_commands(channel_, channel_id_, leader_member, zygote_);
  } else {
    channel_.header().member_bells[executor.member].ring();
  }
}

void SharedHost::look_at(std::uint32_t slot, HostListener& listener) {
  ExecutorSlot& executor = channel_.slot(slot);
  switch (executor.state.load(std::memory_order_acquire)) {
    case SlotState::serving:
      note_forked(slot, listener);
      break;
    case SlotState::exited:
      note_forked(slot, listener);
      handle_exit(slot, listener);
      break;
    case SlotState::unforkable:
      handle_unforkable(slot, listener);
      break;
    case SlotState::vacant:
    case SlotState::starting:
    case SlotState::retiring:
      break;
  }
}

// Whether an executor serves or may still come to serve.
bool SharedHost::any_process() {
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    const ExecutorSlot& executor = channel_.slot(slot);
    if (has_process(executor.state.load()) || executor.command.load() == SlotCommand::spawn) return true;
  }
  return false;
}

// Executors die with their zygote, and nobody else reports them; so do those of a rank that dies.
void SharedHost::look_after_ranks(HostListener& listener) {
  if (life_ == Life::ended) return;
  if (!zygote_.alive()) carry_out_commands(channel_, channel_id_, leader_member, zygote_);
  for (const std::uint32_t member : bury_the_lost()) {
    const NodeRank& rank = others_.rank(member);
    const std::uint32_t left = count_forkable();
    if (left != 0) forkable_ = left;  // none at all is reported when that is certain
    listener.on_rank_lost({rank.rank, host_name_, rank.pid}, left);
  }
}

std::vector<std::uint32_t> SharedHost::bury_the_lost() {
  std::vector<std::uint32_t> lost = others_.look();
  for (const std::uint32_t member : lost) {
    bury_executors(channel_, member);
    for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
      if (channel_.slot(slot).member == member) executors_[slot].fork_error = 0;
    }
  }
  return lost;
}

void SharedHost::handle_exit(std::uint32_t slot, HostListener& listener) {
  const auto time_limit = exceeded_limit(slot);
  recover_open_run(slot);
  drain(slot, listener);
  settle_chunk_of_dead(slot, time_limit, listener);
  for (const std::uint64_t block : std::exchange(executors_[slot].lent, {})) arena_.release(block);
  channel_.header().sleepers.erase(slot);
  channel_.header().spinners.erase(slot);
  channel_.header().asking.erase(slot);
  replace(slot, listener);
}

// What the executor had finished of the run it was writing is whole: it becomes a record.
void SharedHost::recover_open_run(std::uint32_t slot) {
  ExecutorSlot& executor = channel_.slot(slot);
  const std::uint64_t open = executor.open_run.load(std::memory_order_acquire);
  const std::uint64_t position = open - 1;
  if (open == 0 || position < executor.tail.load(std::memory_order_acquire)) return;
  auto& run = *reinterpret_cast<RecordHeader*>(channel_.outbox(slot) + position % outbox_bytes);
  const std::uint64_t count = run.count.load(std::memory_order_acquire);
  if (count == 0) return;
  const std::byte* payload = run.block != 0 ? channel_.at(run.block) : reinterpret_cast<const std::byte*>(&run + 1);
  std::uint64_t bytes = count * run.result_stride;
  if (run.result_stride == detail::variable_stride) {
    bytes = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      std::uint64_t length = 0;
      if (run.capacity - bytes < sizeof length) return;
      std::memcpy(&length, payload + bytes, sizeof length);
      bytes += sizeof length;
      if (run.capacity - bytes < length) return;
      bytes += length;
    }
  }
  if (bytes > run.capacity) return;
  run.bytes = bytes;
  executor.tail.store(position + record_span(run.block != 0 ? 0 : bytes), std::memory_order_seq_cst);
}

void SharedHost::settle_chunk_of_dead(std::uint32_t slot, std::chrono::nanoseconds time_limit, HostListener& listener) {
  ExecutorSlot& executor = channel_.slot(slot);
  const std::uint32_t claiming = executor.claiming.load();
  if (claiming == 0) return;
  // It may have died before it said that the lot is used up; then the others would look for work there without end.
  board_.hide_if_exhausted(claiming - 1);
  const std::uint64_t end = executor.chunk_end.load();
  if (end == 0) {
    // It was about to claim, and may or may not have.
    audits_ |= std::uint64_t{1} << (claiming - 1);
    return;
  }
  const LotId lot = executor.chunk_lot.load();
  LotAccount* account = board_.account_of(lot);
  if (account == nullptr) return;
  const TaskRange left = account->outstanding_run(executor.chunk_first.load(), end);
  if (left.count == 0) return;
  const task::DeathReport report{.rank = executor.rank,
                                 .host = host_name_,
                                 .slot = static_cast<int>(slot),
                                 .pid = executor.pid.load(),
                                 .wait_status = executor.wait_status.load(),
                                 .time_limit = time_limit};
  board_.settle(lot, left.first, 1);
  listener.on_task_died(lot, left.first, report);
  if (left.count > 1 && board_.settle(lot, left.first + 1, left.count - 1)) {
    listener.on_tasks_returned(lot, left.first + 1, left.count - 1);
  }
}

bool SharedHost::audit_lots(HostListener& listener) {
  const std::uint64_t before = audits_;
  for (std::uint64_t open = audits_; open != 0; open &= open - 1) {
    audit(static_cast<std::uint32_t>(std::countr_zero(open)), listener);
  }
  return audits_ != before;
}

// Tasks that are claimed, by no executor that lives, and not accounted for were taken to the grave by one that died
// right after its claim, before it had started them: they go back uncharged.
void SharedHost::audit(std::uint32_t lot_slot, HostListener& listener) {
  const LotAccount* account = board_.account(lot_slot);
  const auto done = [&] { audits_ &= ~(std::uint64_t{1} << lot_slot); };
  if (account == nullptr) return done();
  if (!board_.exhausted(lot_slot)) return;
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    const ExecutorSlot& executor = channel_.slot(slot);
    // Looked at again when it has moved on; a dead one's slot is cleared when it is replaced.
    if (executor.claiming.load(std::memory_order_seq_cst) == lot_slot + 1) return;
    if (channel_.header().ready.contains(slot)) return;
  }
  const Lot lot = account->lot();
  done();
  for (std::uint64_t from = lot.first;;) {
    account = board_.account_of(lot.id);
    if (account == nullptr) return;
    const TaskRange lost = account->outstanding_run(from, lot.first + lot.count);
    if (lost.count == 0) return;
    board_.settle(lot.id, lost.first, lost.count);
    listener.on_tasks_returned(lot.id, lost.first, lost.count);
    from = lost.first + lost.count;
  }
}

void SharedHost::replace(std::uint32_t slot, HostListener& listener) {
  ExecutorSlot& executor = channel_.slot(slot);
  const bool served = executor.served.load(std::memory_order_acquire) != 0;
  auto& early_deaths = executors_[slot].early_deaths;
  early_deaths = served ? 0 : early_deaths + 1;
  const std::string end =
      task::death_text(executor.wait_status.load()) + task::memory_limit_text(channel_.header().settings.memory_limit);

  executor.head.store(0);
  executor.tail.store(0);
  executor.open_run.store(0);
  executor.claiming.store(0);
  executor.chunk_end.store(0);
  executor.waits_for_space.store(0);
  executor.granted.store(0);
  executor.spare.store(0);
  executors_[slot].answered = executor.asks.load();
  executors_[slot].expiry.reset();
  watch_.pass_over(slot);
  executor.served.store(0);
  channel_.header().ready.erase(slot);
  executor.state.store(SlotState::vacant, std::memory_order_release);
  if (life_ != Life::running || channel_.header().phase.load() != Phase::open) return;
  if (!served && channel_.header().settings.initializer != 0) {
    return break_down("the initializer did not return: the executor was " + end, listener);
  }
  if (early_deaths >= most_early_deaths) {
    return break_down("executors on " + host_name_ + " die before they can serve: the last one was " + end, listener);
  }
  order(slot, SlotCommand::spawn);
  if (!any_process() && !any_to_try())
    break_down("no executor is left on " + host_name_ + ": their ranks were killed", listener);
}

void SharedHost::break_down(const std::string& reason, HostListener& listener) {
  if (life_ != Life::running) return;
  life_ = Life::broken;
  // Others get its tasks: nothing of them may still run here.
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) order(slot, SlotCommand::kill);
  listener.on_broken(reason);
}

void SharedHost::shut_down() {
  if (life_ == Life::ended) return;
  channel_.header().phase.store(Phase::closing, std::memory_order_seq_cst);
  end();
}

void SharedHost::kill() {
  if (life_ == Life::ended) return;
  channel_.header().phase.store(Phase::closing, std::memory_order_seq_cst);
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) order(slot, SlotCommand::kill);
  end();
}

void SharedHost::end() {
  ring_everyone();
  wait_until_vacant();
  life_ = Life::ended;
  channel_.header().phase.store(Phase::closed, std::memory_order_seq_cst);
  for (std::uint32_t member = 0; member < channel_.header().members; ++member) {
    channel_.header().member_bells[member].ring();
  }
  if (zygote_.alive()) zygote_.detach(channel_id_);
}

void SharedHost::ring_everyone() {
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) channel_.slot(slot).bell.ring();
}

void SharedHost::wait_until_vacant() {
  auto& header = channel_.header();
  for (;;) {
    const std::uint32_t rings = header.bell.rings.load(std::memory_order_seq_cst);
    header.sleeping.store(1, std::memory_order_seq_cst);
    std::uint32_t left = 0;
    for (std::uint32_t slot = 0; slot < header.slots; ++slot) {
      ExecutorSlot& executor = channel_.slot(slot);
      if (!has_process(executor.state.load(std::memory_order_seq_cst))) continue;
      ++left;
      // Nobody wants its results any more.
      executor.head.store(executor.tail.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
      if (header.asking.erase(slot)) executor.granted.store(ExecutorSlot::no_block, std::memory_order_seq_cst);
      executor.bell.ring();
    }
    if (left == 0) break;
    if (!zygote_.alive()) carry_out_commands(channel_, channel_id_, leader_member, zygote_);
    static_cast<void>(bury_the_lost());
    support::futex_wait(header.bell.rings, rings, look_up);
    header.attention.store(0, std::memory_order_relaxed);
  }
  header.sleeping.store(0, std::memory_order_relaxed);
}

}  // namespace rankpool::host
