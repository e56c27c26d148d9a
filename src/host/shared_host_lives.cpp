// The lives of a host's executors: started, replaced when they die, ended.
#include <sys/wait.h>

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

// An executor that dies this often in a row before it could serve will hardly do better the next time.
constexpr std::uint32_t most_early_deaths = 5;

constexpr auto look_up = 100ms;

}  // namespace

void SharedHost::order(std::uint32_t slot, SlotCommand command) {
  ExecutorSlot& executor = channel_.slot(slot);
  const std::uint32_t member = executors_[slot].member;
  if (others_.is_lost(member)) return;
  // Whoever carries it out goes by what stands there, and a task may have written over it.
  executor.member = member;
  executor.rank = executors_[slot].rank;
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

// Whether an executor serves or may still come to serve, also in place of one whose end has yet to be looked at.
bool SharedHost::any_process() {
  return std::ranges::any_of(executors_, [this](const Executor& executor) {
    return executor.process != Process::none && !others_.is_lost(executor.member);
  });
}

// Executors die with their zygote, and nobody else reports them; so do those of a rank that dies.
void SharedHost::look_after_ranks(HostListener& listener) {
  if (life_ == Life::ended) return;
  if (!zygote_.alive()) carry_out_commands(channel_, channel_id_, leader_member, zygote_);
  for (const std::uint32_t member : bury_the_lost()) {
    const NodeRank& rank = others_.rank(member);
    const std::uint32_t left = count_present();
    if (left != 0) present_ = left;  // none at all is reported when that is certain
    listener.on_rank_lost({rank.rank, host_name_, rank.pid}, left);
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
  const task::DeathReport report = report_of_dead(slot);
  drain(slot, listener);
  drain_open_run(slot, listener);
  settle_chunk_of_dead(slot, report, listener);
  for (const LentBlock& block : std::exchange(executors_[slot].lent, {})) arena_.release(block.offset);
  channel_.header().sleepers.erase(slot);
  channel_.header().spinners.erase(slot);
  channel_.header().asking.erase(slot);
  replace(slot, listener);
}

// To be asked before anything is changed that tells how far the executor had come.
task::DeathReport SharedHost::report_of_dead(std::uint32_t slot) {
  const ExecutorSlot& executor = channel_.slot(slot);
  const LastWords& last_words = channel_.last_words(slot);
  task::DeathReport report{.rank = executors_[slot].rank,
                           .host = host_name_,
                           .slot = static_cast<int>(slot),
                           .pid = executor.pid.load(),
                           .wait_status = executor.wait_status.load(),
                           .time_limit = exceeded_limit(slot),
                           .stderr_tail = last_words.errors.written_at(channel_.progress(slot)),
                           .stack = {}};
  if (!WIFSIGNALED(report.wait_status)) return report;
  report.stack = last_words.crash.stack(WTERMSIG(report.wait_status));
  const std::string message = last_words.crash.abort_message(WTERMSIG(report.wait_status));
  // Of a failed assertion the C library writes it to the stream too.
  if (report.stderr_tail.find(message) == std::string::npos) {
    report.stderr_tail += (report.stderr_tail.empty() ? "" : "\n") + message;
  }
  return report;
}

void SharedHost::settle_chunk_of_dead(std::uint32_t slot, const task::DeathReport& report, HostListener& listener) {
  ExecutorSlot& executor = channel_.slot(slot);
  const std::uint32_t claiming = executor.claiming.load();
  if (executors_[slot].sense == Sense::astray || claiming > max_lots) blame(report);
  if (claiming == 0 || claiming > max_lots) return;
  // It may have died before it said that the lot is used up; then the others would look for work there without end.
  board_.hide_if_exhausted(claiming - 1);
  const std::uint64_t end = executor.chunk_end.load();
  if (end == 0) {
    // It was about to claim, and may or may not have.
    audits_ |= std::uint64_t{1} << (claiming - 1);
    return;
  }
  const LotId lot = executor.chunk_lot.load();
  const std::uint64_t first = executor.chunk_first.load();
  const LotAccount* account = board_.account_of(lot);
  if (account == nullptr || !account->holds(first, end)) return blame(report);
  const TaskRange left = account->outstanding_run(first, end);
  if (left.count == 0) return;
  board_.settle(lot, left.first, 1);
  listener.on_task_died(lot, left.first, report);
  if (left.count > 1 && board_.settle(lot, left.first + 1, left.count - 1)) {
    listener.on_tasks_returned(lot, left.first + 1, left.count - 1);
  }
}

// What it says of the lots it has worked on can't be believed, or they are closed: all are looked at.
void SharedHost::blame(const task::DeathReport& report) {
  blamed_ = report;
  blamed_->time_limit = {};
  audits_ = ~std::uint64_t{0};
}

bool SharedHost::audit_lots(HostListener& listener) {
  const std::uint64_t before = audits_;
  for (std::uint64_t open = audits_; open != 0; open &= open - 1) {
    audit(static_cast<std::uint32_t>(std::countr_zero(open)), listener);
  }
  if (audits_ == 0) blamed_.reset();
  return audits_ != before;
}

// Tasks that are claimed, by no executor that lives, and not accounted for were taken to the grave by one that died
// right after its claim, before it had started them: they go back uncharged. Unless one has gone astray, which may have
// ended them and destroyed the record of it: it would do so again and again.
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
    from = lost.first + lost.count;
    board_.settle(lot.id, lost.first, lost.count);
    if (!blamed_) {
      listener.on_tasks_returned(lot.id, lost.first, lost.count);
      continue;
    }
    for (std::uint64_t task = lost.first; task < from; ++task) listener.on_task_died(lot.id, task, *blamed_);
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
  executors_[slot].head = 0;
  executors_[slot].sense = Sense::sound;
  executors_[slot].answered = executor.asks.load();
  executors_[slot].expiry.reset();
  watch_.pass_over(slot);
  executors_[slot].process = Process::none;
  executor.served.store(0);
  channel_.header().ready.erase(slot);
  executor.state.store(SlotState::vacant, std::memory_order_release);
  if (life_ != Life::running || channel_.header().phase.load() != Phase::open) return;
  board_.wake_executors();  // it may have been woken for a task that it never took
  if (others_.is_lost(executors_[slot].member)) {
    if (!any_process() && !any_to_try()) {
      break_down("no executor is left on " + host_name_ + ": their ranks were killed");
    }
    return;
  }
  if (!served && channel_.header().settings.initializer != 0) {
    return break_down("the initializer did not return: the executor was " + end);
  }
  if (early_deaths >= most_early_deaths) {
    return miss(slot, "they die before they can serve; the last one was " + end + ".", listener);
  }
  order(slot, SlotCommand::spawn);
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
  for (std::uint32_t member = 0; member < channel_.members(); ++member) {
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
    for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
      ExecutorSlot& executor = channel_.slot(slot);
      if (!has_process(executor.state.load(std::memory_order_seq_cst))) continue;
      ++left;
      // Nobody wants its results any more.
      executors_[slot].head = executor.tail.load(std::memory_order_seq_cst);
      executor.head.store(executors_[slot].head, std::memory_order_seq_cst);
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
