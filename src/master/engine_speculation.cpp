// Calls of which late tasks run a second time: what ends first counts, and with the last of that the call ends.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "master/engine.hpp"
#include "support/encoded_results.hpp"

namespace rankpool::master {
namespace {

/// Of encoded results those that come after `skip` others. What makes no sense is cut off, and found by who decodes it.
detail::Bytes results_after(detail::Bytes encoded, std::size_t stride, std::uint64_t skip) {
  if (stride != detail::variable_stride) return encoded.subspan(std::min<std::size_t>(encoded.size(), skip * stride));
  for (; skip != 0; --skip) {
    const auto others = support::after_result(encoded, stride);
    if (!others) return {};
    encoded = *others;
  }
  return encoded;
}

}  // namespace

void Engine::results_of_race(Call& call, scheduler::HostId host, host::LotId lot, std::uint64_t first,
                             std::uint64_t count, std::int64_t nanoseconds, detail::Bytes encoded) {
  const auto won = scheduler_.unsettled(host, lot, {first, count});
  if (!scheduler_.tasks_done(host, lot, {first, count}, nanoseconds)) return;
  leave_lot(lot, count);
  for (const scheduler::TaskRange& tasks : won) {
    const detail::Bytes from = results_after(encoded, call.result_stride, tasks.first - first);
    const std::size_t others =
        tasks.end() == first + count ? 0 : results_after(from, call.result_stride, tasks.count).size();
    const detail::Bytes own = from.first(from.size() - others);
    if (call.log && call.sink != nullptr) record(call, tasks.first, tasks.count, own);
    settle(call, tasks.first, tasks.count);
    give(call, tasks.first, tasks.count, own);
  }
  look_at_race(call);
}

/// Whether a task that has ended in an error had not ended elsewhere before.
bool Engine::is_first_end(const Call& call, scheduler::HostId host, host::LotId lot, std::uint64_t task) {
  return !call.is_racing() || !scheduler_.unsettled(host, lot, {task, 1}).empty();
}

/// Whether a task that has died is nowhere else.
bool Engine::is_forsaken(const Call& call, scheduler::HostId host, host::LotId lot, std::uint64_t task) {
  return !call.is_racing() || !scheduler_.forsaken(host, lot, {task, 1}).empty();
}

bool Engine::is_copied(const Call& call, std::uint64_t piece) {
  return call.is_racing() && std::ranges::count(call.copied_pieces, piece) != 0;
}

void Engine::note_copy(Call& call, std::uint64_t piece) {
  if (!is_copied(call, piece)) call.copied_pieces.push_back(piece);
}

/// What is over: the use of inputs whose tasks have all ended and run nowhere any more, and with the last result the
/// call. Where a thread waits for the call, that sees it, and abandons the rest.
void Engine::look_at_race(Call& call) {
  if (!call.is_racing()) return;
  const bool is_won = call.is_won();
  std::erase_if(call.copied_pieces, [this, &call](std::uint64_t first) {
    const auto piece = call.pieces.find(first);
    if (piece == call.pieces.end()) return true;
    const bool is_used = piece->second.outstanding != 0 || std::ranges::any_of(lots_, [&](const auto& lot) {
                           return lot.second.call == call.image.id && lot.second.piece == first;
                         });
    if (is_used) return false;
    local_->release(piece->second.built.block);
    call.pieces.erase(piece);
    return true;
  });
  if (!is_won) return;
  call.log.reset();  // it has all: the next call may have the key
  if (call.handle) detach(call, call.failure);
}

void Engine::check_speculation(const detail::CallSpec& spec) const {
  if (spec.max_attempts.value_or(options_.max_attempts) == 1) {
    throw std::invalid_argument(std::string(spec.what) +
                                ": speculate runs late tasks a second time, which max_attempts = 1 (of the call, the "
                                "pool, or RANKPOOL_MAX_ATTEMPTS) forbids");
  }
}

}  // namespace rankpool::master
