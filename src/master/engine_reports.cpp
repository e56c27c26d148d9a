// What the hosts report, brought to the scheduler and to the callers.
#include <algorithm>
#include <exception>
#include <locale>
#include <new>
#include <sstream>

#include <rankpool/errors.hpp>

#include "master/engine.hpp"
#include "master/reports.hpp"
#include "support/text.hpp"
#include "task/exception_image.hpp"
#include "wire/codec.hpp"

namespace rankpool::master {
namespace {

template <class E>
bool is_a(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const E&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

void Engine::results(scheduler::HostId host, host::LotId lot, std::uint64_t first, std::uint64_t count,
                     std::int64_t nanoseconds, detail::Bytes encoded) {
  Call* call = call_of(lot);
  if (call != nullptr && call->is_racing())
    return results_of_race(*call, host, lot, first, count, nanoseconds, encoded);
  if (!scheduler_.tasks_done(host, lot, {first, count}, nanoseconds)) return;
  leave_lot(lot, count);
  if (call == nullptr) return;
  // Where nobody waits any more the task was asked to stop, and may have returned early.
  if (call->log && call->sink != nullptr) record(*call, first, count, encoded);
  settle(*call, first, count);
  give(*call, first, count, encoded);
}

/// Brings results to the caller.
void Engine::give(Call& call, std::uint64_t first, std::uint64_t count, detail::Bytes encoded) {
  if (call.sink == nullptr) return;
  try {
    call.sink->values(first, count, encoded);
  } catch (...) {
    // Out of memory, say: the error of this call, whichever thread drives.
    fail(call, std::current_exception());
  }
}

void Engine::task_failed(scheduler::HostId host, host::LotId lot, std::uint64_t task, std::int64_t nanoseconds,
                         host::Place place, detail::Bytes image) {
  Call* call = call_of(lot);
  const bool is_first = call != nullptr && is_first_end(*call, host, lot, task);
  if (!scheduler_.tasks_done(host, lot, {task, 1}, nanoseconds)) return;
  const auto open = lots_.find(lot);
  const std::uint32_t attempt = open != lots_.end() ? open->second.attempt : 1;
  leave_lot(lot, 1);
  if (!is_first) return;
  if (call->sink != nullptr) {
    call->sink->error(
        task,
        task::rebuild(
            image,
            {.rank = place.rank, .host = host_name(place.rank), .slot = place.slot, .task = task, .attempt = attempt}));
  }
  settle(*call, task, 1);
  look_at_race(*call);
}

void Engine::task_died(scheduler::HostId host, host::LotId lot, std::uint64_t task, const task::DeathReport& report) {
  if (report.time_limit.count() != 0) return task_timed_out(host, lot, task, report);
  Call* call = call_of(lot);
  const bool is_tried_again = call != nullptr && is_forsaken(*call, host, lot, task);
  if (!scheduler_.task_died(host, lot, task)) return;
  if (is_tried_again) {
    const std::uint32_t attempt = lots_.at(lot).attempt;
    call->deaths[task] = {.attempt = attempt, .report = report};
    if (attempt < call->max_attempts) tell_of_retry(report, task, attempt, call->max_attempts);
  }
  leave_lot(lot, 1);
}

// A task that succeeds in the end would be silent on what may be its fault, or a lack of memory.
void Engine::tell_of_retry(const task::DeathReport& report, std::uint64_t task, std::uint32_t attempt,
                           std::uint32_t attempts_allowed) const {
  if (options_.log != support::LogLevel::info) return;
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << "task " << task << " is tried again: its executor on " << report.host << " (rank " << report.rank << ", slot "
       << report.slot << ", pid " << report.pid << ") was " << task::death_text(report.wait_status) << " in attempt "
       << attempt << " of " << attempts_allowed;
  support::print_notice(options_.name, text.str());
}

void Engine::task_timed_out(scheduler::HostId host, host::LotId lot, std::uint64_t task,
                            const task::DeathReport& report) {
  Call* call = call_of(lot);
  const bool is_first = call != nullptr && is_first_end(*call, host, lot, task);
  if (!scheduler_.tasks_done(host, lot, {task, 1}, report.time_limit.count())) return;
  const auto open = lots_.find(lot);
  const std::uint32_t attempt = open != lots_.end() ? open->second.attempt : 1;
  leave_lot(lot, 1);
  if (!is_first) return;
  if (call->sink != nullptr) call->sink->error(task, task::task_timed_out(report, task, attempt));
  settle(*call, task, 1);
  look_at_race(*call);
}

void Engine::tasks_returned(scheduler::HostId host, host::LotId lot, std::uint64_t first, std::uint64_t count) {
  if (!scheduler_.tasks_returned(host, lot, {first, count})) return;
  leave_lot(lot, count);
  if (const auto open = lots_.find(lot); count == 0 && open != lots_.end()) open->second.begun = true;
}

Call* Engine::call_of(host::LotId lot) {
  const auto open = lots_.find(lot);
  if (open == lots_.end()) return nullptr;
  const auto call = calls_.find(open->second.call);
  return call == calls_.end() ? nullptr : &call->second;
}

void Engine::leave_lot(host::LotId lot, std::uint64_t count) {
  ++deeds_;
  const auto open = lots_.find(lot);
  if (open == lots_.end()) return;
  open->second.outstanding -= std::min(count, open->second.outstanding);
  if (open->second.outstanding == 0) lots_.erase(open);
}

// Tasks that have ended for good: their inputs are not needed any more.
void Engine::settle(Call& call, std::uint64_t first, std::uint64_t count) {
  call.settled += count;
  if (!call.deaths.empty()) {
    call.deaths.erase(call.deaths.lower_bound(first), call.deaths.lower_bound(first + count));
  }
  const auto piece = call.piece_of(first);
  piece->second.outstanding -= count;
  if (piece->second.outstanding != 0 || is_copied(call, piece->first)) return;
  local_->release(piece->second.built.block);
  call.pieces.erase(piece);
}

void Engine::set_executors(scheduler::HostId host, std::uint32_t count) {
  hosts_.note_executors(host, count);
  scheduler_.set_executors(host, hosts_.beginners(host));
  count_processes();
}

void Engine::blocked(scheduler::HostId host, const host::Blocked& blocked) {
  if (hosts_.is_lost(host)) return;
  hosts_.note_blocked(host, blocked);
  scheduler_.set_executors(host, hosts_.beginners(host));
}

void Engine::count_processes() {
  processes_ = std::max<std::uint64_t>(hosts_.executors(), 1);  // at 0 the pool breaks; shares are never of nothing
}

// They come and go with what the machine allows; a host that has none keeps the place for its own.
void Engine::executors(scheduler::HostId host, std::uint32_t count, const std::string& why) {
  if (state_ == PoolState::broken || state_ == PoolState::terminated || hosts_.is_lost(host)) return;
  hosts_.set_executors(host, count);
  if (!hosts_.any_serves()) return break_pool(why);
  set_executors(host, count);
  if (!why.empty() && hosts_.may_warn_of(host)) warn("going on, although " + why);
}

// A node may tell of its end, and then end.
void Engine::host_broken(scheduler::HostId host, const std::string& reason, scheduler::Unreported tasks) {
  if (state_ == PoolState::broken || state_ == PoolState::terminated || hosts_.is_lost(host)) return;
  const bool served = hosts_.state(host) == HostBook::State::serving;
  hosts_.lose(host, reason);
  if (host != local_host) objects_.lose_host(host);
  if (!hosts_.any_serves()) {
    return break_pool(remote_.empty() ? reason : "no node with executors is left: " + reason);
  }
  warn("going on without " + std::string(served ? "the executors of a node" : "a node that had no executors") + ": " +
       reason);
  std::erase_if(lots_, [host](const auto& lot) { return lot.second.host == host; });
  scheduler_.lose_host(host, tasks);
  count_processes();
}

void Engine::rank_lost(scheduler::HostId host, const host::RankLoss& loss, std::uint32_t executors_left) {
  if (hosts_.is_lost(host)) return;
  set_executors(host, executors_left);
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << "rank " << loss.rank << " on " << loss.host << " (pid " << loss.pid
       << ") was killed, and its executors with it";
  if (const std::uint64_t left = hosts_.executors(); left != 0) {
    text << "; going on with " << support::in_words(left, "executor");
    if (!options_.outlives_ranks) text << " unless the launcher ends the job for it";
  }
  warn(text.str());
}

void Engine::warn(const std::string& text) const { warning()(text); }

/// What warns, also when this is no more.
std::function<void(const std::string&)> Engine::warning() const {
  if (options_.log == support::LogLevel::quiet) return [](const std::string&) {};
  return [name = options_.name](const std::string& text) { support::print_notice(name, text); };
}

// Its messages would be waited for without end, and what is sent to it might never leave.
void Engine::look_after_leaders() {
  if (remote_.empty() || !glance_.is_over()) return;
  for (const auto& [rank, process] : leaders_) {
    if (process.has_ended()) {
      lost_leaders_[rank] = "(pid " + std::to_string(process.pid()) + "), was killed" +
                            (options_.outlives_ranks ? "" : "; the launcher may end the job for that");
    }
  }
  give_up_lost_leaders();
}

void Engine::give_up_lost_leaders() {
  for (const auto& [rank, why] : std::exchange(lost_leaders_, {})) {
    leaders_.erase(rank);
    const auto node = std::ranges::find(remote_, rank, &RemoteNode::leader);
    if (node == remote_.end() || transport_->is_given_up(rank)) continue;
    transport_->give_up(rank);
    if (ending_ == Ending::at_once) continue;  // all calls have ended
    host_broken(static_cast<scheduler::HostId>(node - remote_.begin() + 1),
                "its leader, rank " + std::to_string(rank) + " on " + host_name(rank) + " " + why,
                scheduler::Unreported::may_have_run);
  }
}

void Engine::initializer_failed(host::Place place, detail::Bytes image) {
  const std::exception_ptr error = task::rebuild(
      image, {.rank = place.rank, .host = host_name(place.rank), .slot = place.slot, .task = 0, .attempt = 1});
  const bool lacked_memory = is_a<std::bad_alloc>(error);
  break_pool("the initializer failed on " + host_name(place.rank) + " (rank " + std::to_string(place.rank) + ", slot " +
             std::to_string(place.slot) + "): " + detail::text_of(error) +
             (lacked_memory ? task::memory_limit_text(options_.memory_limit) : ""));
}

void Engine::break_pool(const std::string& reason) {
  if (state_ == PoolState::broken || state_ == PoolState::terminated) return;
  state_ = PoolState::broken;
  broken_ = reason;
  const auto error = std::make_exception_ptr(BrokenPool(reason));
  fail_calls([&error](const Call&) { return error; });
}

void Engine::receive(int source, detail::Bytes message, detail::Bytes beside) {
  const auto node =
      std::ranges::find_if(remote_, [source](const RemoteNode& remote) { return remote.leader == source; });
  if (node == remote_.end()) return;
  const auto host = static_cast<scheduler::HostId>(node - remote_.begin() + 1);
  if (hosts_.is_lost(host)) return;
  try {
    wire::for_each_to_master(message, beside, RemoteReports(*this, host));
  } catch (const wire::Malformed& error) {
    host_broken(host, "rank " + std::to_string(source) + " sent what is no message: " + error.what(),
                scheduler::Unreported::may_have_run);
  }
}

int Engine::leader_of(scheduler::HostId host) const {
  if (host == local_host) return transport_ ? transport_->rank() : 0;
  return remote_[static_cast<std::size_t>(host) - 1].leader;
}

std::string Engine::host_name(int rank) const {
  const auto i = static_cast<std::size_t>(rank);
  return rank >= 0 && i < options_.hosts.size() ? options_.hosts[i] : std::string();
}

}  // namespace rankpool::master
