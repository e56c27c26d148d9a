/// @file
/// A host: a node with its executors, the lots it has open and how loaded that makes it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "scheduler/commands.hpp"
#include "scheduler/intrusive.hpp"
#include "scheduler/lot.hpp"

namespace rankpool::scheduler {

struct Host {
  /// Two chunks an executor: the one it runs and the one it finds when that ends, before a reply could reach us.
  static constexpr std::uint64_t wanted_chunks_per_executor = 2;
  /// The same between lots, whatever their size.
  static constexpr std::uint32_t wanted_lots = 2;
  /// And this long, in nanoseconds, however many chunks that is.
  static constexpr double least_backlog = 1e6;
  /// Enough one-task lots to keep few executors busy over a message's round trip.
  static constexpr std::uint32_t least_lot_limit = 16;
  /// Loads are chunks per executor in this fixed point.
  static constexpr std::uint64_t load_unit = 1024;
  /// A host whose executors are all busy takes ahead of need only from one with this excess: two chunks an executor.
  static constexpr std::uint64_t far_behind = 2 * load_unit;

  HostId id = 0;
  std::uint32_t executors = 0;
  std::uint32_t open_lots = 0;
  std::uint64_t chunks = 0;                ///< outstanding in all its lots
  std::uint64_t retractable_chunks = 0;    ///< of the lots not retracted yet
  std::uint64_t running_chunks = 0;        ///< of the lots that gave back what had not started
  double slowness = 1;                     ///< its time per task over that of the jobs' mean
  double work = 0;                         ///< of all its lots
  Lot* awaited = nullptr;                  ///< the lot retracted for this host, until it is answered
  IntrusiveList<Lot, &Lot::in_host> lots;  ///< oldest first
  HeapLinks by_need;
  HeapLinks by_excess;
  ListLinks<Host> in_changed;
  ListLinks<Host> in_idle;
  ListLinks<Host> in_dry;
  ListLinks<Host> in_hungry;

  [[nodiscard]] std::uint64_t load() const { return chunks * load_unit / std::max<std::uint64_t>(executors, 1); }

  /// Chunks a retraction can still move: those that no executor has begun, as far as is known.
  [[nodiscard]] std::uint64_t movable_chunks() const {
    const std::uint64_t begun = executors - std::min<std::uint64_t>(executors, running_chunks);
    return retractable_chunks - std::min(retractable_chunks, begun);
  }

  /// Room for one more lot, wanted or not.
  [[nodiscard]] bool has_room() const {
    return executors > 0 && open_lots < std::max(least_lot_limit, std::uint32_t{2} * std::min(executors, 1U << 30));
  }

  /// Lower is needier; a host below `need_limit` wants work.
  static constexpr std::uint64_t need_limit = wanted_chunks_per_executor * load_unit;
  [[nodiscard]] std::uint64_t need() const {
    return open_lots < wanted_lots || is_brief() ? std::min(load(), need_limit - 1) : load();
  }
  /// What it has would not last until who deals is woken and gets a CPU.
  [[nodiscard]] bool is_brief() const { return work > 0 && backlog() < least_backlog; }

  /// Nanoseconds for which its executors have work, as far as tasks were measured.
  [[nodiscard]] double backlog() const { return work * slowness / std::max<std::uint32_t>(executors, 1); }

  /// It needs more before who deals would look again: what is known of it may be two rests of 8 ms old, its leader's
  /// and the dealer's, and the answer takes another.
  static constexpr double restful_backlog = 25e6;
  [[nodiscard]] bool is_hungry() const { return executors > 0 && (chunks <= executors || backlog() < restful_backlog); }

  /// The same per executor.
  [[nodiscard]] std::uint64_t excess() const {
    return movable_chunks() * load_unit / std::max<std::uint64_t>(executors, 1);
  }

  [[nodiscard]] bool has_idle_executor() const { return chunks < executors; }

  void add(const Lot& lot) { ++open_lots, count(lot), work += lot.work(); }
  void remove(const Lot& lot) {
    --open_lots, discount(lot);
    work = open_lots == 0 ? 0 : work - lot.work();  // sums of doubles drift
  }

  /// Bracket every change of a lot's outstanding tasks or retraction by these two.
  void discount(const Lot& lot) {
    chunks -= lot.chunks();
    if (lot.retraction == Retraction::none) retractable_chunks -= lot.chunks();
    if (lot.retraction == Retraction::answered) running_chunks -= lot.chunks();
  }
  void count(const Lot& lot) {
    chunks += lot.chunks();
    if (lot.retraction == Retraction::none) retractable_chunks += lot.chunks();
    if (lot.retraction == Retraction::answered) running_chunks += lot.chunks();
  }

  /// One report: tasks took `ratio` times the job's mean.
  void record_speed(double ratio) {
    constexpr double newest_weight = 1.0 / 16;  // heavy-tailed tasks: one report says little about the host
    constexpr double bound = 16;
    slowness += (std::clamp(ratio, 1 / bound, bound) - slowness) * newest_weight;
  }
};

}  // namespace rankpool::scheduler
