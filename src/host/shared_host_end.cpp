// The end of a host: its executors leave, or are killed. Where it can't go on, what they did is told before others get
// the rest.
#include <algorithm>
#include <chrono>
#include <csignal>

#include "host/member.hpp"
#include "host/shared_host.hpp"
#include "support/process_watch.hpp"

namespace rankpool::host {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto look_up = 100ms;

// A rank that carries out orders does so within milliseconds; one that doesn't is stopped, or waits for a disk.
constexpr auto patience_with_ranks = 1s;

}  // namespace

void SharedHost::break_down(const std::string& reason) {
  if (life_ != Life::running) return;
  life_ = Life::breaking;
  broken_because_ = reason;
  board_.take_back_all();  // nothing starts any more
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) order(slot, SlotCommand::kill);
  channel_.ring_leader();  // there may be none left whose end would
}

// By its end each executor has been looked at, and so has what it took to the grave.
bool SharedHost::has_broken_down() {
  if (life_ != Life::breaking || !audits_.empty()) return false;
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    const SlotState state = channel_.slot(slot).state.load(std::memory_order_acquire);
    if (has_process(state) || state == SlotState::exited) return false;
  }
  life_ = Life::broken;
  return true;
}

void SharedHost::shut_down() {
  if (life_ == Life::ended) return;
  channel_.header().phase.store(Phase::closing, std::memory_order_seq_cst);
  end(Ending::in_order);
}

void SharedHost::kill() {
  if (life_ == Life::ended) return;
  channel_.header().phase.store(Phase::closing, std::memory_order_seq_cst);
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) order(slot, SlotCommand::kill);
  end(Ending::by_force);
}

void SharedHost::end(Ending ending) {
  ring_everyone();
  wait_until_vacant(ending);
  life_ = Life::ended;
  channel_.header().phase.store(Phase::closed, std::memory_order_seq_cst);
  for (std::uint32_t member = 0; member < channel_.members(); ++member) {
    channel_.header().member_bells[member].ring();
  }
  if (zygote_.alive()) zygote_.detach(channel_id_);
}

void SharedHost::ring_everyone() {
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) channel_.slot(slot).bell.ring();
}

void SharedHost::wait_until_vacant(Ending ending) {
  auto& header = channel_.header();
  const auto give_up_ranks = Clock::now() + patience_with_ranks;
  for (;;) {
    const std::uint32_t rings = header.bell.rings.load(std::memory_order_seq_cst);
    header.sleeping.store(1, std::memory_order_seq_cst);
    std::uint32_t left = 0;
    for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
      ExecutorSlot& executor = channel_.slot(slot);
      if (!has_process(executor.state.load(std::memory_order_seq_cst))) continue;
      ++left;
      // Nobody wants its results any more.
      executors_[slot].head = executor.tail.load(std::memory_order_seq_cst);
      executor.head.store(executors_[slot].head, std::memory_order_seq_cst);
      if (header.asking.erase(slot)) executor.granted.store(ExecutorSlot::no_block, std::memory_order_seq_cst);
      if (header.mail.erase(slot)) dismiss_question(slot);
      executor.bell.ring();
      if (ending == Ending::by_force && Clock::now() > give_up_ranks) kill_directly(slot);
    }
    if (left == 0) break;
    if (!zygote_.alive()) carry_out_commands(channel_, channel_id_, leader_member, zygote_);
    static_cast<void>(bury_the_lost());
    support::futex_wait(header.bell.rings, rings, look_up);
    header.attention.store(0, std::memory_order_relaxed);
  }
  header.sleeping.store(0, std::memory_order_relaxed);
}

// Its rank doesn't pass the order on.
void SharedHost::kill_directly(std::uint32_t slot) {
  const support::ProcessIdentity executor = channel_.roll(slot).process();
  if (executor.pid > 1 && !executor.has_ended()) ::kill(-executor.pid, SIGKILL);
}

}  // namespace rankpool::host
