// Calls of which late tasks run a second time: what ends first counts, and with the last of that the call ends.
#include <algorithm>
#include <cstring>

#include "master/engine.hpp"

namespace rankpool::master {
namespace {

/// Of encoded results those that come after `skip` others. What makes no sense is cut off, and found by who decodes it.
detail::Bytes results_after(detail::Bytes encoded, std::size_t stride, std::uint64_t skip) {
  if (stride != detail::variable_stride) return encoded.subspan(std::min<std::size_t>(encoded.size(), skip * stride));
  for (; skip != 0; --skip) {
    std::uint64_t bytes = 0;
    if (encoded.size() < sizeof bytes) return {};
    std::memcpy(&bytes, encoded.data(), sizeof bytes);
    encoded = encoded.subspan(sizeof bytes);
    encoded = encoded.subspan(std::min<std::size_t>(encoded.size(), bytes));
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
    const detail::Bytes own = from.first(from.size() - results_after(from, call.result_stride, tasks.count).size());
    if (call.log && call.sink != nullptr) record(call, tasks.first, tasks.count, own);
    settle(call, tasks.first, tasks.count);
    give(call, tasks.first, tasks.count, own);
  }
  end_if_won(call);
}

/// Whether a task that has ended in an error had not ended elsewhere before.
bool Engine::is_first_end(const Call& call, scheduler::HostId host, host::LotId lot, std::uint64_t task) {
  return !call.is_racing || !scheduler_.unsettled(host, lot, {task, 1}).empty();
}

/// Whether a task that has died is nowhere else.
bool Engine::is_forsaken(const Call& call, scheduler::HostId host, host::LotId lot, std::uint64_t task) {
  return !call.is_racing || !scheduler_.forsaken(host, lot, {task, 1}).empty();
}

/// Where a thread waits for the call, that sees it, and abandons the rest.
void Engine::end_if_won(Call& call) {
  if (!call.is_won()) return;
  if (call.handle) detach(call, call.failure);
}

}  // namespace rankpool::master
