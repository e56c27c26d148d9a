#include "host/member.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <string>

#include "support/futex.hpp"
#include "support/unique_fd.hpp"

namespace rankpool::host {
namespace {

void report(Channel& channel, std::uint32_t slot, SlotState state, int wait_status) {
  channel.slot(slot).wait_status = wait_status;
  channel.slot(slot).state = state;
  channel.header().exited.insert(slot);
  channel.ring_leader();
}

// The kernel kills the executors of a zygote that dies; their groups it leaves to us.
void make_sure_of_death(pid_t pid) {
  constexpr int patience_ms = 1000;
  if (pid <= 1) return;  // a task may have written over it
  const support::UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  kill(-pid, SIGKILL);
  if (!process) return;
  pollfd death{process.get(), POLLIN, 0};
  poll(&death, 1, patience_ms);
}

void report_orphans(Channel& channel, std::uint32_t member) {
  for (std::uint32_t i = 0; i < channel.slots(); ++i) {
    ExecutorSlot& slot = channel.slot(i);
    if (slot.member != member || !has_process(slot.state)) continue;
    make_sure_of_death(slot.pid);
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
    if (slot.member != member || slot.command.load() == SlotCommand::none) continue;
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
    if (channel.slot(i).member == member) channel.slot(i).command = SlotCommand::none;
  }
  report_orphans(channel, member);
}

void serve_as_member(Channel& channel, std::uint64_t channel_id, std::uint32_t member, Zygote& zygote) {
  constexpr auto glance = std::chrono::seconds(1);
  ChannelHeader& header = channel.header();
  support::Bell& bell = header.member_bells.at(member);
  for (;;) {
    const std::uint32_t rings = bell.rings.load(std::memory_order_seq_cst);
    if (header.phase == Phase::closed) return;
    carry_out_commands(channel, channel_id, member, zygote);
    if (kill(header.leader_pid, 0) != 0 && errno == ESRCH) {
      throw std::runtime_error("rankpool: the rank that leads this node (pid " + std::to_string(header.leader_pid) +
                               ") is gone");
    }
    support::futex_wait(bell.rings, rings, glance);
  }
}

}  // namespace rankpool::host
