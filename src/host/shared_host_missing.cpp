// Executors that could not be started: the others serve, and from time to time these are tried again.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "host/shared_host.hpp"
#include "support/text.hpp"

namespace rankpool::host {
namespace {

// The slot's zygote is dead: no executor will ever be forked there.
constexpr int no_zygote = ESRCH;

std::string why_unforkable(int error) {
  switch (error) {
    case no_zygote:
      return std::string("the process that forks them was killed; ") + usual_killer + ".";
    case EAGAIN:
      return std::string(std::strerror(error)) +
             "; is the number of processes limited (ulimit -u, or the job's or container's pids limit)?";
    case ENOMEM:
      return std::string(std::strerror(error)) + "; is the memory of the job or the container limited?";
    default:
      return std::string(std::strerror(error)) + ".";
  }
}

}  // namespace

void SharedHost::handle_unforkable(std::uint32_t slot, HostListener& listener) {
  note_gone(slot);
  if (is_spare(slot)) {
    channel_.header().away.insert(slot);
    return postpone_spares(why_unforkable(channel_.slot(slot).wait_status.load()));
  }
  if (others_.is_lost(executors_[slot].member)) return see_who_is_left(listener);
  miss(slot, why_unforkable(channel_.slot(slot).wait_status.load()), listener);
}

void SharedHost::miss(std::uint32_t slot, const std::string& why, HostListener& listener) {
  executors_[slot].missing_because = why;
  retry_.failed(StartRetry::Clock::now());
  see_who_is_left(listener);  // if there are some, the next round reports how many
}

void SharedHost::note_serving(std::uint32_t slot, HostListener& listener) {
  // Once: a task may have rung in its name, and written over its pid.
  if (std::exchange(executors_[slot].process, Process::serves) == Process::serves) return;
  if (is_spare(slot)) {
    spares_in_vain_ = 0;
  } else {
    board_.note_serving();
  }
  executors_[slot].pid = channel_.slot(slot).pid.load();
  if (std::exchange(executors_[slot].missing_because, {}).empty()) return;
  retry_.succeeded();
  report_executors(listener);
}

void SharedHost::note_gone(std::uint32_t slot) {
  const bool served = std::exchange(executors_[slot].process, Process::none) == Process::serves;
  if (served && !is_spare(slot)) board_.note_gone();
}

// To be asked whenever an executor has gone and is not being started anew.
void SharedHost::see_who_is_left(HostListener& listener) {
  if (channel_.base() == 0 || any_process()) return;
  if (!any_to_try()) return break_down(why_none_is_left());
  retry_.none_left(StartRetry::Clock::now());
  if (retry_.rounds_without() >= StartRetry::rounds_without_any) report_executors(listener);
}

// Of the first that is missing; empty when none is.
std::string SharedHost::why_missing() const {
  const auto missing = std::ranges::find_if(executors_, [](const Executor& e) { return !e.missing_because.empty(); });
  return missing != executors_.end() ? missing->missing_because : "";
}

std::string SharedHost::why_none_is_left() {
  if (const std::string why = why_missing(); !why.empty()) {
    return "no executor can be started on " + host_name_ + ": " + why;
  }
  std::set<std::uint32_t> lost;
  for (const Executor& executor : executors_) {
    if (others_.is_lost(executor.member)) lost.insert(executor.member);
  }
  std::string ranks;
  for (const std::uint32_t member : lost) {
    const NodeRank& rank = others_.rank(member);
    ranks += (ranks.empty() ? "" : ", ") + std::string("rank ") + std::to_string(rank.rank) + " (pid " +
             std::to_string(rank.process.pid) + ")";
  }
  return "no executor is left on " + host_name_ + ": they ended with " + ranks + ", which " +
         (lost.size() == 1 ? "was" : "were") + " killed; " + usual_killer +
         ". With more ranks (rankpool-run --ranks) the others go on.";
}

// Whether an executor serves or may still come to serve, also in place of one whose end has yet to be looked at.
bool SharedHost::any_process() {
  const auto not_spare = std::span(executors_).first(channel_.base());
  return std::ranges::any_of(not_spare, [this](const Executor& executor) {
    return executor.process != Process::none && !others_.is_lost(executor.member);
  });
}

bool SharedHost::may_be_tried(std::uint32_t slot) {
  const Executor& executor = executors_[slot];
  if (executor.process != Process::none || executor.missing_because.empty()) return false;
  const ExecutorSlot& place = channel_.slot(slot);
  const bool hopeless = place.state.load() == SlotState::unforkable && place.wait_status.load() == no_zygote;
  return !hopeless && !others_.is_lost(executor.member);
}

bool SharedHost::any_to_try() {
  for (std::uint32_t slot = 0; slot < channel_.base(); ++slot) {
    if (may_be_tried(slot)) return true;
  }
  return false;
}

void SharedHost::retry_missing(HostListener& listener) {
  if (life_ != Life::running || channel_.header().phase.load() != Phase::open) return retry_.finish();
  if (!retry_.start_round(StartRetry::Clock::now())) return;
  if (why_missing().empty()) return retry_.finish();
  if (any_process()) report_executors(listener);
  for (std::uint32_t slot = 0; slot < channel_.base(); ++slot) {
    if (may_be_tried(slot)) order(slot, SlotCommand::spawn);
  }
}

// Executors that serve or soon will.
std::uint32_t SharedHost::count_present() {
  std::uint32_t count = 0;
  for (std::uint32_t slot = 0; slot < channel_.base(); ++slot) {
    if (executors_[slot].missing_because.empty() && !others_.is_lost(executors_[slot].member)) ++count;
  }
  return count;
}

void SharedHost::report_executors(HostListener& listener) {
  const std::uint32_t count = count_present();
  if (life_ != Life::running || std::exchange(present_, count) == count) return;
  std::string why = why_missing();
  if (count == 0) {
    why = why_none_is_left();
  } else if (!why.empty()) {
    why = "only " + std::to_string(count) + " of " + support::in_words(channel_.base(), "executor") +
          " can be started on " + host_name_ + ": " + why;
    if (any_to_try()) why += " The others are tried again now and then.";
  }
  listener.on_executors(count, why);
}

}  // namespace rankpool::host
