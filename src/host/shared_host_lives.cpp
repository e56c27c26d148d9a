// The lives of a host's executors: started, and replaced when they die.
#include <sys/wait.h>

#include <string>
#include <utility>

#include "host/member.hpp"
#include "host/shared_host.hpp"

namespace rankpool::host {
namespace {

// An executor that dies this often in a row before it could serve will hardly do better the next time.
constexpr std::uint32_t most_early_deaths = 5;

}  // namespace

void SharedHost::order(std::uint32_t slot, SlotCommand command) {
  ExecutorSlot& executor = channel_.slot(slot);
  const std::uint32_t member = executors_[slot].member;
  if (others_.is_lost(member)) return;
  if (command == SlotCommand::spawn) executors_[slot].process = Process::coming;
  executor.command.store(command, std::memory_order_seq_cst);
  if (member == leader_member) {
    carry_out_commands(channel_, channel_id_, leader_member, zygote_);
  } else {
    channel_.header().member_bells[member].ring();
  }
}

void SharedHost::look_at(std::uint32_t slot, HostListener& listener) {
  ExecutorSlot& executor = channel_.slot(slot);
  switch (executor.state.load(std::memory_order_acquire)) {
    case SlotState::serving:
      note_serving(slot, listener);
      break;
    case SlotState::exited:
      if (executor.served.load(std::memory_order_acquire) != 0) note_serving(slot, listener);
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

// Executors die with their zygote, and nobody else reports them; so do those of a rank that dies, if there were any.
void SharedHost::look_after_ranks(HostListener& listener) {
  if (life_ == Life::ended) return;
  if (!zygote_.alive()) carry_out_commands(channel_, channel_id_, leader_member, zygote_);
  const std::vector<std::uint32_t> lost = bury_the_lost();
  if (lost.empty()) return;
  // First: what they had done, and what they had not begun, must not go down with the node if none is left.
  channel_.header().exited.drain(channel_.slots(), [&](std::uint32_t slot) { look_at(slot, listener); });
  see_who_is_left(listener);
  if (life_ != Life::running) return;  // the reason has named the ranks
  for (const std::uint32_t member : lost) {
    const NodeRank& rank = others_.rank(member);
    const std::uint32_t left = count_present();
    if (left != 0) present_ = left;  // none at all is reported when that is certain
    listener.on_rank_lost({rank.rank, host_name_, rank.process.pid}, left);
  }
}

std::vector<std::uint32_t> SharedHost::bury_the_lost() {
  std::vector<std::uint32_t> lost = others_.look();
  for (const std::uint32_t member : lost) {
    bury_executors(channel_, member);
    for (Executor& executor : executors_) {
      if (executor.member == member) executor.missing_because.clear();
    }
  }
  return lost;
}

void SharedHost::handle_exit(std::uint32_t slot, HostListener& listener) {
  settle_estate(slot, listener);
  const bool served = executors_[slot].process == Process::serves;
  const int wait_status = channel_.slot(slot).wait_status.load();
  executors_[slot].early_deaths = served ? 0 : executors_[slot].early_deaths + 1;
  clear_slot(slot);
  listener.on_executor_gone(slot);
  if (life_ != Life::running || channel_.header().phase.load() != Phase::open) return;
  board_.wake_executors();  // it may have been woken for a task that it never took
  start_anew(slot, wait_status, listener);
}

void SharedHost::clear_slot(std::uint32_t slot) {
  ChannelHeader& header = channel_.header();
  for (AtomicSet* set : {&header.sleepers, &header.resting, &header.blocked, &header.returning, &header.spinners,
                         &header.asking, &header.mail, &header.ready}) {
    set->erase(slot);
  }
  Executor& known = executors_[slot];
  note_gone(slot);
  for (const LentBlock& block : known.lent) arena_.release(block.offset);
  ExecutorSlot& place = channel_.slot(slot);
  known = {.member = known.member,
           .rank = known.rank,
           .lent = {},
           .answered = place.asks.load(),
           .early_deaths = known.early_deaths,
           .missing_because = std::move(known.missing_because),
           .expiry = {},
           .mail = {}};
  watch_.pass_over(slot);
  channel_.mailbox(slot).turn.store(Mailbox::Turn::nothing);
  place.vacate();
}

void SharedHost::start_anew(std::uint32_t slot, int wait_status, HostListener& listener) {
  const Executor& known = executors_[slot];
  if (is_spare(slot)) {
    channel_.header().away.insert(slot);
    if (known.early_deaths != 0) postpone_spares("it " + end_text(wait_status) + " before it could serve");
  }
  if (others_.is_lost(known.member)) return see_who_is_left(listener);
  if (is_spare(slot)) return;
  const bool in_initializer = known.early_deaths != 0 && has_initializer_;
  const bool hopeless = known.early_deaths >= most_early_deaths;
  if (in_initializer && (hopeless || !killed_from_outside(wait_status))) {
    return break_down(initializer_text(slot, wait_status));
  }
  if (hopeless)
    return miss(slot, "they die before they can serve; the last one " + end_text(wait_status) + ".", listener);
  order(slot, SlotCommand::spawn);
}

std::string SharedHost::end_text(int wait_status) {
  return "was " + task::death_text(wait_status) + task::memory_limit_text(channel_.header().settings.memory_limit);
}

std::string SharedHost::initializer_text(std::uint32_t slot, int wait_status) {
  const Executor& known = executors_[slot];
  const std::string where =
      host_name_ + " (rank " + std::to_string(known.rank) + ", slot " + std::to_string(slot) + ")";
  const std::string begin = "the initializer did not return: the executor on " + where + " " + end_text(wait_status);
  if (!killed_from_outside(wait_status)) {
    return begin + ". With RANKPOOL_INLINE=1 the program runs it itself, and a debugger shows where that happens.";
  }
  return begin + ", as were " + std::to_string(known.early_deaths - 1) + " before it; " + usual_killer +
         ". Let the job have more memory, or the initializer or the number of executors (RANKPOOL_PROCESSES) be "
         "smaller.";
}

}  // namespace rankpool::host
