// Executors that could not be started: the others serve, and from time to time these are tried again.
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
  executors_[slot].process = Process::none;
  miss(slot, why_unforkable(channel_.slot(slot).wait_status.load()), listener);
}

void SharedHost::miss(std::uint32_t slot, const std::string& why, HostListener& listener) {
  executors_[slot].missing_because = why;
  retry_.failed(StartRetry::Clock::now());
  if (any_process()) return;  // the next round reports how many are left
  if (!any_to_try()) {
    break_down("no executor can be started on " + host_name_ + ": " + why);
  } else if (retry_.rounds() >= StartRetry::rounds_without_any) {
    report_executors(listener);
  }
}

void SharedHost::note_serving(std::uint32_t slot, HostListener& listener) {
  executors_[slot].process = Process::serves;
  if (std::exchange(executors_[slot].missing_because, {}).empty()) return;
  retry_.succeeded();
  report_executors(listener);
}

bool SharedHost::may_be_tried(std::uint32_t slot) {
  const Executor& executor = executors_[slot];
  if (executor.process != Process::none || executor.missing_because.empty()) return false;
  const ExecutorSlot& place = channel_.slot(slot);
  const bool hopeless = place.state.load() == SlotState::unforkable && place.wait_status.load() == no_zygote;
  return !hopeless && !others_.is_lost(executor.member);
}

bool SharedHost::any_to_try() {
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    if (may_be_tried(slot)) return true;
  }
  return false;
}

void SharedHost::retry_missing(HostListener& listener) {
  if (life_ != Life::running || channel_.header().phase.load() != Phase::open) return retry_.finish();
  if (!retry_.start_round(StartRetry::Clock::now())) return;
  if (std::ranges::all_of(executors_, [](const Executor& e) { return e.missing_because.empty(); }))
    return retry_.finish();
  if (any_process()) report_executors(listener);
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    if (may_be_tried(slot)) order(slot, SlotCommand::spawn);
  }
}

// Executors that serve or soon will.
std::uint32_t SharedHost::count_present() {
  std::uint32_t count = 0;
  for (std::uint32_t slot = 0; slot < channel_.slots(); ++slot) {
    if (executors_[slot].missing_because.empty() && !others_.is_lost(executors_[slot].member)) ++count;
  }
  return count;
}

void SharedHost::report_executors(HostListener& listener) {
  const std::uint32_t count = count_present();
  if (life_ != Life::running || std::exchange(present_, count) == count) return;
  const auto missing = std::ranges::find_if(executors_, [](const Executor& e) { return !e.missing_because.empty(); });
  std::string why;
  if (missing != executors_.end()) {
    why = (count == 0 ? "no executor"
                      : "only " + std::to_string(count) + " of " + support::in_words(executors_.size(), "executor")) +
          " can be started on " + host_name_ + ": " + missing->missing_because;
    if (count != 0 && any_to_try()) why += " The others are tried again now and then.";
  }
  listener.on_executors(count, why);
}

}  // namespace rankpool::host
