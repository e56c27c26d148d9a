/// @file
/// The scheduler: decides which host runs which tasks. Pure: events in, commands out; no MPI, thread, clock or I/O.
///
///   add_tasks ─► Job::pending ──size_lot──► Lot on a Host ──tasks_done──────────────► settled ─► JobDone
///                    ▲                            │
///                    ├────── tasks_returned ──────┤   uncharged: retracted, or left behind by a dead executor or node
///                    └─ task_died, lose_host ─────┴──► GiveUp, when the attempts are used up
///
/// A task is in exactly one of these places: pending, in one open lot, settled; of speculative jobs (speculation.cpp)
/// it may be in several lots, and still in one when it is settled. Events only change that state; `next()`
/// decides, so that a batch of events is judged as a whole. The neediest host gets work first, jobs take turns. When no
/// task is pending and a host runs dry, the newest lot of the most loaded host is retracted and dealt anew.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory_resource>
#include <optional>
#include <unordered_map>
#include <vector>

#include "scheduler/commands.hpp"
#include "scheduler/host.hpp"
#include "scheduler/intrusive.hpp"
#include "scheduler/job.hpp"
#include "scheduler/lot.hpp"
#include "scheduler/lot_sizing.hpp"
#include "support/node_recycler.hpp"

namespace rankpool::scheduler {

/// Not thread-safe. Misuse by the engine (an id in use, pieces with gaps) throws std::logic_error; anything a remote
/// host may send late or wrong is answered with false.
class Scheduler {
 public:
  Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  ~Scheduler() = default;

  void add_host(HostId id, std::uint32_t executors);
  /// An unknown (lost) host is ignored.
  void set_executors(HostId id, std::uint32_t executors);
  /// Its outstanding tasks run elsewhere. An unknown host is ignored.
  void lose_host(HostId id, Unreported tasks);

  void open_job(JobId id, const JobOptions& options);
  /// A piece of the job's input, the one after the last, from task 0 on; no lot crosses its borders. Ignored when the
  /// job is over or cancelled.
  void add_tasks(JobId id, TaskRange piece);
  /// The same, but of tasks whose results are there already.
  void skip_tasks(JobId id, TaskRange tasks);
  void end_input(JobId id);
  /// Nothing of the job starts any more, its lots are retracted, JobDone comes when nothing is in flight. The tasks
  /// dropped are not reported.
  void cancel_job(JobId id);
  /// Nothing of the job starts for now, and its lots are retracted; what comes back is pending. For a job whose input
  /// has ended.
  void hold_job(JobId id);
  /// Lets a job that is held go on.
  void resume_job(JobId id);

  /// @name Reports
  /// Each returns false, and changes nothing, when the lot isn't open on that host (a late reply) or a task of the
  /// range isn't outstanding in it: the caller drops what came with it.
  /// @{

  /// @param busy executor time these tasks took.
  bool tasks_done(HostId host, LotId lot, TaskRange tasks, Nanoseconds busy);
  /// Its executor died: the task is charged an attempt, the others of the lot aren't.
  bool task_died(HostId host, LotId lot, std::uint64_t task);
  /// Retracted, or left behind uncharged. A count of 0 answers a retraction that found nothing.
  bool tasks_returned(HostId host, LotId lot, TaskRange tasks);
  /// @}

  /// The next command; nothing when all is decided until the next event. Draw input before: hosts that run dry take
  /// from others as soon as no drawn task is pending.
  std::optional<Command> next();

  /// @name Speculation
  /// @{

  /// The time now, on any clock. To be told before next() where needs_time(), and again and again where
  /// any_may_be_late(): time passes where nothing is reported.
  void tell_time(Nanoseconds now) { now_ = now; }
  [[nodiscard]] bool needs_time() const { return speculative_jobs_ != 0; }
  [[nodiscard]] bool any_may_be_late() const { return !racing_.empty(); }
  /// Of tasks that are going to be reported as done, those that no other lot has been done first with.
  [[nodiscard]] std::vector<TaskRange> unsettled(HostId host, LotId lot, TaskRange tasks);
  /// Of tasks that are going to be reported as died or returned, those that no other lot has or has been done with.
  [[nodiscard]] std::vector<TaskRange> forsaken(HostId host, LotId lot, TaskRange tasks);
  /// @}

  /// Tasks of the job drawn but not handed out; 0 for a job that is over.
  [[nodiscard]] std::uint64_t pending_tasks(JobId id) const;
  /// Mean time of the job's tasks that have ended, recent ones weighing more; empty where none has.
  [[nodiscard]] std::optional<Nanoseconds> task_time(JobId id) const;
  [[nodiscard]] bool is_open(JobId id) const { return jobs_.contains(id); }
  [[nodiscard]] std::size_t open_jobs() const { return jobs_.size(); }
  [[nodiscard]] std::size_t hosts() const { return hosts_.size(); }
  /// Whether a host was, when next() had no command any more; see Host.
  [[nodiscard]] bool any_host_is_hungry() const { return !hungry_.empty(); }
  /// Executors in all.
  [[nodiscard]] std::uint64_t executors() const { return pool_.executors; }

 private:
  Job* find_job(JobId id);
  Host* find_host(HostId id);
  Job* draw(JobId id, TaskRange piece);

  void sort_changed_hosts();
  void sort_in(Host& host);
  void update(Job& job);
  void resize(Host& host, std::uint32_t executors);
  bool finish_if_done(Job& job);

  bool take(Lot& lot, TaskRange tasks);
  void close_if_settled(Lot& lot);
  void close(Lot& lot);
  void requeue(Job& job, const PendingRange& range);
  void charge(Lot& lot, TaskRange tasks);
  void give_back(Lot& lot, TaskRange tasks);
  void ask_back(Lot& lot, Host* thief);
  void settle_retraction(Lot& lot);
  void mark(Lot& lot, Retraction state);

  std::optional<Command> deal();
  Job* job_for(const Host& host) const;
  RunLot hand_out(Job& job, Host& host);
  Lot& open_lot(Job& job, Host& host, const PendingRange& range, std::uint64_t chunk);
  void retract_for_dry_hosts();
  void retract_for(Host& thief);

  // Speculation (speculation.cpp).
  void enter_race(Lot& lot);
  [[nodiscard]] bool is_late(const Lot& lot) const;
  Host* idle_host(const Lot& late);
  std::optional<Command> copy_late();
  RunLot copy(Lot& late, TaskRange tasks, Host& host);
  static void win(Lot& lot, TaskRange tasks);
  static std::vector<TaskRange> alone_in(const Lot& lot, TaskRange tasks);
  static void allow_another_copy(const Lot& copy, TaskRange tasks);
  static void forbid_copies(const Lot& lot, TaskRange tasks);
  static void leave_race(Lot& lot, TaskRange tasks);
  static void end_race(Lot& lot);

  std::unordered_map<HostId, Host> hosts_;
  support::NodeRecycler nodes_;
  std::pmr::unordered_map<JobId, Job> jobs_{&nodes_};
  LotTable lots_;
  PoolSize pool_;

  IntrusiveList<Job, &Job::in_ready> ready_;        ///< with pending tasks, in turn
  IntrusiveList<Job, &Job::in_unserved> unserved_;  ///< of those, the ones with no lot open
  IntrusiveList<Host, &Host::in_changed> changed_;  ///< hosts whose places below have yet to be looked at
  IndexedHeap<Host, &Host::by_need> needy_;         ///< hosts with room for a lot, the neediest on top
  IndexedHeap<Host, &Host::by_excess> loaded_;      ///< hosts with something to retract, the most loaded on top
  IntrusiveList<Host, &Host::in_idle> idle_;        ///< hosts with an idle executor that await no retraction
  IntrusiveList<Host, &Host::in_dry> dry_;          ///< the same, each executor at its last chunk
  IntrusiveList<Host, &Host::in_hungry> hungry_;    ///< see any_host_is_hungry()
  IntrusiveList<Job, &Job::in_racing> racing_;      ///< see Job::may_race()
  std::size_t speculative_jobs_ = 0;                ///< open ones
  Nanoseconds now_ = 0;
  std::deque<Command> decided_;
};

}  // namespace rankpool::scheduler
