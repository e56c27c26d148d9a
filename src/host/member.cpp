#include "host/member.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>

#include "support/futex.hpp"
#include "support/process_watch.hpp"

namespace rankpool::host {
namespace {

void report(Channel& channel, std::uint32_t slot, SlotState state, int wait_status) {
  channel.slot(slot).wait_status = wait_status;
  channel.slot(slot).state = state;
  channel.header().exited.insert(slot);
  channel.ring_leader();
}

// The kernel kills the executors of a zygote that dies; their groups it leaves to us.
void make_sure_of_death(const support::ProcessIdentity& executor) {
  constexpr auto patience = std::chrono::seconds(1);
  if (executor.pid == 0 || executor.is_replaced()) return;
  const support::ProcessWatch watch(executor);
  kill(-executor.pid, SIGKILL);
  static_cast<void>(watch.await_end(patience));
}

void report_orphans(Channel& channel, std::uint32_t member) {
  for (std::uint32_t i = 0; i < channel.slots(); ++i) {
    ExecutorSlot& slot = channel.slot(i);
    if (channel.member(i) != member || !has_process(slot.state)) continue;
    make_sure_of_death(channel.roll(i).process());
    channel.roll(i).strike();
    report(channel, i, SlotState::exited, SIGKILL);
  }
}

// Marked here already: should the zygote die before it reads the request, the slot is reported all the same.
void ask_for_executor(std::uint64_t channel_id, std::uint32_t number, ExecutorSlot& slot, Zygote& zygote) {
  if (has_process(slot.state)) return;
  slot.pid = 0;
  slot.state = SlotState::starting;
  zygote.spawn(channel_id, number);
}

}  // namespace

void carry_out_commands(Channel& channel, std::uint64_t channel_id, std::uint32_t member, Zygote& zygote) {
  const bool alive = zygote.alive();
  if (!alive) report_orphans(channel, member);
  for (std::uint32_t i = 0; i < channel.slots(); ++i) {
    ExecutorSlot& slot = channel.slot(i);
    if (channel.member(i) != member || slot.command.load() == SlotCommand::none) continue;
    const SlotCommand command = slot.command.exchange(SlotCommand::none);
    try {
      if (command == SlotCommand::kill && alive) zygote.kill(channel_id, i);
      if (command == SlotCommand::expire && alive) zygote.expire(channel_id, i);
      if (command == SlotCommand::spawn && alive) ask_for_executor(channel_id, i, slot, zygote);
    } catch (const std::runtime_error&) {
      report_orphans(channel, member);
    }
    if (command == SlotCommand::spawn && !zygote.alive()) report(channel, i, SlotState::unforkable, ESRCH);
  }
}

void bury_executors(Channel& channel, std::uint32_t member) {
  for (std::uint32_t i = 0; i < channel.slots(); ++i) {
    if (channel.member(i) == member) channel.slot(i).command = SlotCommand::none;
  }
  report_orphans(channel, member);
}

void serve_as_member(Channel& channel, std::uint64_t channel_id, std::uint32_t member, Zygote& zygote) {
  constexpr auto glance = std::chrono::seconds(1);
  ChannelHeader& header = channel.header();
  const support::ProcessWatch leader(channel.leader());
  support::Bell& bell = header.member_bells.at(member);
  for (;;) {
    const std::uint32_t rings = bell.rings.load(std::memory_order_seq_cst);
    const bool leader_is_gone = leader.has_ended();
    if (header.phase == Phase::closed) return;  // the last that a leader says before it goes
    carry_out_commands(channel, channel_id, member, zygote);
    if (leader_is_gone) {
      throw std::runtime_error("rankpool: the rank that hands out this node's work (pid " +
                               std::to_string(leader.pid()) + ") was killed or has ended; this rank ends, too");
    }
    support::futex_wait(bell.rings, rings, glance);
  }
}

}  // namespace rankpool::host
