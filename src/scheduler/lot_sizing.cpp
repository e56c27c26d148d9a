#include "scheduler/lot_sizing.hpp"

#include <algorithm>
#include <limits>

namespace rankpool::scheduler {
namespace {

/// A measured lot lasts this long on its host: so that leaders and master may rest for 8 ms and yet send the next one
/// in time. Jobs take turns chunk by chunk on the hosts, and what is left at the end is retracted.
constexpr Nanoseconds lot_time = 40'000'000;
/// With many hosts lots last longer, so that the master sends no more than 50,000 a second.
constexpr Nanoseconds lot_time_per_host = 20'000;
/// Before anything is measured: enough to measure by, too little to make a tail.
constexpr std::uint64_t first_chunks_per_executor = 2;

/// a * b / c without overflow, for b and c up to 2^31.
constexpr std::uint64_t scale(std::uint64_t a, std::uint64_t b, std::uint64_t c) { return a / c * b + a % c * b / c; }

constexpr std::uint64_t saturating_product(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  return b != 0 && a > most / b ? most : a * b;
}

std::uint64_t to_count(double tasks) {
  constexpr double most = 1e18;
  return static_cast<std::uint64_t>(std::min(tasks, most));
}

std::uint64_t expected_chunk(const Job& job, const PendingRange& range, PoolSize pool) {
  ChunkPolicy policy{.schedule = job.options.schedule,
                     .chunksize = job.options.chunksize,
                     .total = job.known_total(),
                     .executors = static_cast<std::uint32_t>(
                         std::min<std::uint64_t>(pool.executors, std::numeric_limits<std::uint32_t>::max()))};
  if (job.task_time.measured()) {
    policy.measured = to_count(static_cast<double>(target_chunk_time) / job.task_time.mean());
  }
  // Not cut at the range's end: borders of chunks are counted in full ones.
  return std::max(next_chunk(policy, range.tasks.first, std::max(policy.total, range.tasks.end())), std::uint64_t{1});
}

/// Chunks below which a lot is not worth sending.
std::uint64_t least_chunks(const Host& host, std::uint64_t remaining_chunks, PoolSize pool) {
  if (host.has_idle_executor()) return host.executors - host.chunks;
  // At the end of a job a full row of chunks would only wait here while executors elsewhere fall idle.
  return remaining_chunks >= pool.executors ? host.executors : 1;
}

/// Tasks that keep the host busy for a lot's time.
std::uint64_t lasting_tasks(const Job& job, const Host& host, PoolSize pool) {
  const auto lasts = static_cast<double>(std::max(lot_time, lot_time_per_host * static_cast<Nanoseconds>(pool.hosts)));
  return to_count(lasts * host.executors / (job.task_time.mean() * host.slowness));
}

/// The size of chunks that must stay whole; 0 where chunks vary.
std::uint64_t fixed_chunk(const Job& job, PoolSize pool) {
  switch (job.options.schedule) {
    case Schedule::static_:
      return job.options.chunksize > 0
                 ? job.options.chunksize
                 : std::max(detail::ceil_div(job.known_total(), pool.executors), std::uint64_t{1});
    case Schedule::dynamic:
    case Schedule::automatic:
      return job.options.chunksize;
    case Schedule::guided:
    case Schedule::factoring:
      break;
  }
  return 0;
}

/// Cuts at a border of the chunks counted from the piece's start; a range that begins inside a chunk ends with it.
std::uint64_t whole_chunks(std::uint64_t tasks, std::uint64_t chunk, const PendingRange& range) {
  const std::uint64_t inside = (range.tasks.first - range.piece_first) % chunk;
  if (inside > 0) return chunk - inside;
  return std::max(tasks / chunk, std::uint64_t{1}) * chunk;
}

}  // namespace

LotSize size_lot(const Job& job, const Host& host, PoolSize pool) {
  const PendingRange& range = job.pending.front();
  const std::uint64_t remaining = job.remaining();
  const std::uint64_t chunk = expected_chunk(job, range, pool);
  const std::uint64_t least = saturating_product(least_chunks(host, remaining / chunk, pool), chunk);
  std::uint64_t tasks = std::max(scale(remaining, host.executors, 2 * pool.executors), least);
  if (job.options.schedule == Schedule::automatic && pool.hosts > 1) {
    const std::uint64_t limit = job.task_time.measured()
                                    ? lasting_tasks(job, host, pool)
                                    : saturating_product(first_chunks_per_executor * host.executors, chunk);
    tasks = std::min(tasks, std::max(limit, least));
  }
  if (const std::uint64_t whole = fixed_chunk(job, pool); whole > 1) tasks = whole_chunks(tasks, whole, range);
  return {.tasks = std::min(tasks, range.tasks.count), .chunk = chunk};
}

}  // namespace rankpool::scheduler
