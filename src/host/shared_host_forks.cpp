// Executors that could not be forked: the others serve, and from time to time these are tried again.
#include <algorithm>
#include <cerrno>
#include <cstring>
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
  const int error = channel_.slot(slot).wait_status.load();
  executors_[slot].fork_error = error;
  forks_.failed(ForkRetry::Clock::now());
  if (any_process()) return;  // the next round reports how many are left
  if (!any_to_try()) {
    break_down("no executor can be started on " + host_name_ + ": " + why_unforkable(error), listener);
  } else if (forks_.rounds() >= ForkRetry::rounds_without_any) {
    report_executors(listener);
  }
}

// The slot has had a process.
void SharedHost::note_forked(std::uint32_t slot, HostListener& listener) {
  if (std::exchange(executors_[slot].fork_error, 0) == 0) return;
  forks_.succeeded();
  report_executors(listener);
}

bool SharedHost::may_be_tried(std::uint32_t slot) {
  const ExecutorSlot& executor = channel_.slot(slot);
  return executor.state.load() == SlotState::unforkable && executor.wait_status.load() != no_zygote &&
         !others_.is_lost(executors_[slot].member);
}

bool SharedHost::any_to_try() {
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    if (may_be_tried(slot)) return true;
  }
  return false;
}

void SharedHost::retry_forks(HostListener& listener) {
  if (life_ != Life::running || channel_.header().phase.load() != Phase::open) return forks_.finish();
  if (!forks_.start_round(ForkRetry::Clock::now())) return;
  if (std::ranges::all_of(executors_, [](const Executor& e) { return e.fork_error == 0; })) return forks_.finish();
  if (any_process()) report_executors(listener);
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    if (may_be_tried(slot)) order(slot, SlotCommand::spawn);
  }
}

// Executors that serve or soon will.
std::uint32_t SharedHost::count_forkable() {
  std::uint32_t count = 0;
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    if (executors_[slot].fork_error == 0 && !others_.is_lost(executors_[slot].member)) ++count;
  }
  return count;
}

void SharedHost::report_executors(HostListener& listener) {
  const std::uint32_t count = count_forkable();
  if (life_ != Life::running || std::exchange(forkable_, count) == count) return;
  const auto missing = std::ranges::find_if(executors_, [](const Executor& e) { return e.fork_error != 0; });
  std::string why;
  if (missing != executors_.end()) {
    why = (count == 0 ? "no executor"
                      : "only " + std::to_string(count) + " of " + support::in_words(executors_.size(), "executor")) +
          " can be started on " + host_name_ + ": " + why_unforkable(missing->fork_error);
    if (count != 0 && any_to_try()) why += " The others are tried again now and then.";
  }
  listener.on_executors(count, why);
}

}  // namespace rankpool::host
