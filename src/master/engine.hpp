// The engine: joins user threads, scheduler, this node's host and the other nodes' leaders.
//
//   caller ──draw──► pieces ──► Scheduler ──RunLot──► Host of this node            ──► executors
//                                  ▲    └───────────► Outbox ══ MPI ══► leader rank ──► executors there
//   caller ◄─sink── Engine ◄───────┴── reports (HostListener) ◄──────────┘
//
// Whoever waits for a call drives the engine; of several waiting threads one has the seat and the others sleep. Where
// nobody waits but calls are open, a background thread drives. All state is under the seat's mutex, released while
// inputs are drawn and callbacks run (user code), while the driver sleeps, and for others between two of its polls.
//
// How a call may end before its tasks have:
//   cancel   a user asks; the host of a single task is asked first whether that has started (recall)
//   drop     nobody has a handle any more
//   expire   its time is over
//   fail     it can't go on, for want of memory say: no more results; over when what is in flight has ended
//   stop     the job ends: over when what is in flight has ended, or when there is no more time for that
//   win      all tasks have ended, though some that ran twice still run where they were late
// The first three detach the handle, for which the call is over then, and abandon the rest: what is in flight is let
// run, and its results are thrown away. The engine forgets a call when its last task has ended.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/home_process.hpp>

#include "host/host.hpp"
#include "journal/journals.hpp"
#include "master/background_driver.hpp"
#include "master/call.hpp"
#include "master/deadlock_watch.hpp"
#include "master/ending.hpp"
#include "master/host_book.hpp"
#include "master/options.hpp"
#include "master/seat.hpp"
#include "master/shared_objects.hpp"
#include "scheduler/scheduler.hpp"
#include "shared/access.hpp"
#include "shared/holdings.hpp"
#include "support/interval.hpp"
#include "support/node_recycler.hpp"
#include "support/process_watch.hpp"
#include "task/this_task.hpp"
#include "transport/backoff.hpp"
#include "transport/outbox.hpp"
#include "transport/transport.hpp"

namespace rankpool::master {

class Engine final : public detail::PoolCore, public detail::AsyncCore, public shared::Access {
 public:
  /// `transport` is null when there are no other nodes. The last owner may be a callback, of which the engine's own
  /// thread is to leave first: then another thread ends the pool.
  static std::shared_ptr<Engine> make(EngineOptions options, std::unique_ptr<host::Host> local,
                                      std::uint32_t local_executors, std::unique_ptr<transport::Transport> transport,
                                      std::span<const RemoteNode> nodes);
  Engine(EngineOptions options, std::unique_ptr<host::Host> local, std::uint32_t local_executors,
         std::unique_ptr<transport::Transport> transport, std::span<const RemoteNode> nodes);
  ~Engine() override;

  void run(const detail::CallSpec& spec, detail::InputSource& source, detail::ResultSink& sink) override;
  void start(const detail::CallSpec& spec, std::optional<std::uint64_t> total,
             std::shared_ptr<detail::AsyncCall> handle) override;
  bool feed(detail::AsyncCall& handle, detail::InputSource& source, std::uint64_t most) override;
  bool await(const detail::Condition& condition, detail::Deadline deadline) override;
  bool cancel(detail::AsyncCall& handle) override;
  void drop(detail::AsyncCall& handle) noexcept override;
  [[nodiscard]] bool running(const detail::AsyncCall& handle) override;
  void close() override;
  void join() override;
  void terminate() override;
  void cancel_pending() override;
  detail::SharedHandle make_object(const detail::SharedSpec& spec) override;
  detail::SharedReply perform(const detail::SharedRequest& request) override;
  void destroy(const detail::SharedHandle& object) override;
  void check_may_wait() const override { check_blocking(); }
  [[nodiscard]] bool delivers_here() const noexcept override;
  [[nodiscard]] int processes() const override { return static_cast<int>(processes_); }
  [[nodiscard]] PoolState state() const override;
  [[nodiscard]] std::string name() const override { return options_.name; }

  /// @name Nodes that are lost, and the end of the job
  /// For a thread that does nothing else: it never drives, and runs no callbacks. Each may take long.
  /// @{

  /// A node is lost, and the others go on. @param why "its connection was closed".
  void lose_leader(int rank, const std::string& why);
  /// A node is lost, and the job ends for that. @param why as of end_job().
  void end_without_leader(int rank, const std::string& why);

  /// @param why for JobEnding: "the job's time is nearly over". Steps that have been taken are not taken back.
  void end_job(Ending ending, const std::string& why);
  /// Calls whose tasks take longer, as measured, start no more of them.
  void stop_longer_than(std::chrono::steady_clock::duration left, const std::string& why);
  /// Whether anybody has got JobEnding.
  [[nodiscard]] bool is_cut_short() const;
  /// @}

 private:
  using Lock = Seat::Lock;
  using Driving = Seat::Driving;
  using Clock = std::chrono::steady_clock;
  using Calls = std::pmr::unordered_map<host::CallId, Call>;
  struct Place;
  class Places;
  class Wait;
  /// Counts who waits, if that is to be counted.
  class CountedWait {
   public:
    CountedWait(Engine& engine, bool counts) : engine_(engine), counts_(counts) {
      if (counts_) ++engine_.waiting_threads_;
    }
    CountedWait(const CountedWait&) = delete;
    CountedWait& operator=(const CountedWait&) = delete;
    ~CountedWait() {
      if (counts_) --engine_.waiting_threads_;
    }

   private:
    Engine& engine_;
    bool counts_;
  };
  class Memory;        // channel memory under the engine's mutex
  class LocalReports;  // a host's reports, and which host they come from
  class RemoteReports;

  // Calls (engine_calls.cpp).
  Call& open(const detail::CallSpec& spec, std::optional<std::uint64_t> total, detail::ResultSink& sink,
             std::shared_ptr<journal::CallLog> log);
  void await_end(Lock& lock, Call& call, detail::InputSource& source, PieceBuilder& builder,
                 std::optional<Deadline> deadline);
  bool draw(Lock& lock, host::CallId id, detail::InputSource& source, PieceBuilder& builder, std::uint64_t most);
  void add_pieces(Call& call, std::span<const BuiltPiece> pieces, std::vector<LoggedPiece> logged);
  void end_input(Call& call);
  [[nodiscard]] bool wants_input(const Call& call) const;
  [[nodiscard]] std::uint64_t first_piece() const { return 4 * processes_; }
  [[nodiscard]] std::optional<Deadline> deadline_of(const detail::CallSpec& spec) const;
  void detach(Call& call, const std::exception_ptr& failure);
  void abandon(Call& call);
  void ask_to_stop(const Call& call);
  void forget(host::CallId call);
  void fail(Call& call, const std::exception_ptr& error);
  void fail_calls(const std::function<std::exception_ptr(const Call&)>& error_of);
  void expire_calls();
  void check_running();
  void check_not_drawing() const;

  // Journals (engine_journal.cpp).
  [[nodiscard]] std::shared_ptr<journal::CallLog> open_log(const detail::CallSpec& spec);
  [[nodiscard]] std::vector<LoggedPiece> look_up(journal::CallLog& log, std::span<const BuiltPiece> pieces,
                                                 std::size_t stride);
  void add_missing_tasks(const Call& call, const BuiltPiece& built, const LoggedPiece& logged);
  void deliver(Call& call, const LoggedPiece& logged);
  void record(Call& call, std::uint64_t first, std::uint64_t count, detail::Bytes encoded);

  // Calls that nobody waits for (engine_async.cpp).
  [[nodiscard]] Call* find(const detail::AsyncCall& handle);
  Call* recall(Lock& lock, const detail::AsyncCall& handle, host::CallId id);
  [[nodiscard]] bool has_begun(const Call& call) const;
  [[nodiscard]] bool was_refused(const Call& call) const;
  void end_inputs_drawn_here();

  // Driving (engine_driving.cpp).
  void check_nonblocking() const;
  void check_blocking() const;
  void check_thread() const;
  [[nodiscard]] bool may_drive_here() const;
  bool drive_until(Lock& lock, const detail::Condition& condition, std::optional<Deadline> deadline);
  void drive_in_background(Lock& lock, const detail::Condition& condition);
  bool poll_hosts();
  [[nodiscard]] bool is_glance_due();
  void poll_now(Lock& lock);
  void poll_beside_callback(Lock& lock);
  void step(Lock& lock, std::optional<Deadline> deadline);
  void sleep(Lock& lock, std::optional<Deadline> deadline);
  void note_news();
  [[nodiscard]] std::chrono::nanoseconds pause_between_looks();
  void deliver(Lock& lock);
  void tell_waiters();
  void attend(Lock& lock);
  void wake_background();
  void stop_background();

  // Shared objects (engine_shared.cpp).
  SharedObjects make_objects();
  shared::ParticipantId id_at(Place& place);
  void await_end(Lock& lock, shared::Operation& operation);
  void await_ring(Lock& lock, const shared::Operation& operation, std::uint32_t seen);
  [[nodiscard]] bool nobody_comes() const;
  [[nodiscard]] bool runs_inline_here() const { return seat_.driving_here() == Driving::sleeping; }
  void sleep_beside(Lock& lock, const shared::Operation& operation, std::uint32_t seen);
  void end_inline_task();
  void look_for_deadlocks();
  void remind_of(const std::vector<DeadlockWatch::Wait>& waits);
  [[nodiscard]] bool no_task_goes_on(const std::vector<DeadlockWatch::Wait>& waits) const;
  [[nodiscard]] bool every_thread_waits() const;
  [[nodiscard]] bool any_limited_task(scheduler::HostId host) const;
  [[nodiscard]] std::string what_cannot_begin(const std::vector<DeadlockWatch::Wait>& waits) const;
  [[nodiscard]] std::string name_of(const DeadlockWatch::Wait& wait) const;
  void release_destroyed();
  void question(scheduler::HostId host, const host::Question& question);
  void send_answer(scheduler::HostId host, std::uint32_t slot, std::uint64_t number, detail::Bytes bytes);

  // Life (engine.cpp).
  void wake_driver(Lock& lock);
  void await_leaders();
  void stop_hosts(wire::StopMode mode);

  // Calls of which tasks run twice (engine_speculation.cpp).
  void results_of_race(Call& call, scheduler::HostId host, host::LotId lot, std::uint64_t first, std::uint64_t count,
                       std::int64_t nanoseconds, detail::Bytes encoded);
  [[nodiscard]] bool is_first_end(const Call& call, scheduler::HostId host, host::LotId lot, std::uint64_t task);
  [[nodiscard]] bool is_forsaken(const Call& call, scheduler::HostId host, host::LotId lot, std::uint64_t task);
  static void note_copy(Call& call, std::uint64_t piece);
  [[nodiscard]] static bool is_copied(const Call& call, std::uint64_t piece);
  void look_at_race(Call& call);
  void check_speculation(const detail::CallSpec& spec) const;

  // The end of the job (engine_ending.cpp).
  [[nodiscard]] std::exception_ptr job_ending(const Call& call);
  void check_job_goes_on();
  void stop(Call& call);
  void take_step(Ending ending, const std::string& why);
  void leave_to_driver();

  // Commands of the scheduler (engine_dispatch.cpp).
  void dispatch();
  void carry_out(const scheduler::RunLot& command);
  void carry_out(const scheduler::RetractLot& command);
  void carry_out(const scheduler::GiveUp& command);
  void carry_out(const scheduler::JobDone& command);
  void inform(Call& call, scheduler::HostId host);
  void send_lot(const host::Lot& lot, const Call& call, int peer);

  // Reports of the hosts (engine_reports.cpp).
  void results(scheduler::HostId host, host::LotId lot, std::uint64_t first, std::uint64_t count,
               std::int64_t nanoseconds, detail::Bytes encoded);
  void give(Call& call, std::uint64_t first, std::uint64_t count, detail::Bytes encoded);
  void task_failed(scheduler::HostId host, host::LotId lot, std::uint64_t task, std::int64_t nanoseconds,
                   host::Place place, detail::Bytes image);
  void task_died(scheduler::HostId host, host::LotId lot, std::uint64_t task, const task::DeathReport& report);
  void tell_of_retry(const task::DeathReport& report, std::uint64_t task, std::uint32_t attempt,
                     std::uint32_t attempts_allowed) const;
  void task_timed_out(scheduler::HostId host, host::LotId lot, std::uint64_t task, const task::DeathReport& report);
  void tasks_returned(scheduler::HostId host, host::LotId lot, std::uint64_t first, std::uint64_t count);
  void executors(scheduler::HostId host, std::uint32_t count, const std::string& why);
  void set_executors(scheduler::HostId host, std::uint32_t count);
  void blocked(scheduler::HostId host, const host::Blocked& blocked);
  void count_processes();
  void host_broken(scheduler::HostId host, const std::string& reason, scheduler::Unreported tasks);
  void initializer_failed(host::Place place, detail::Bytes image);
  void rank_lost(scheduler::HostId host, const host::RankLoss& loss, std::uint32_t executors_left);
  void look_after_leaders();
  void give_up_lost_leaders();
  void warn(const std::string& text) const;
  [[nodiscard]] std::function<void(const std::string&)> warning() const;
  void break_pool(const std::string& reason);
  void settle(Call& call, std::uint64_t first, std::uint64_t count);
  Call* call_of(host::LotId lot);
  void leave_lot(host::LotId lot, std::uint64_t count);
  void receive(int source, detail::Bytes message, detail::Bytes beside);
  [[nodiscard]] int leader_of(scheduler::HostId host) const;
  [[nodiscard]] std::string host_name(int rank) const;

  /// Host 0 is this node's; host k > 0 is remote_[k - 1].
  static constexpr scheduler::HostId local_host = 0;

  EngineOptions options_;
  std::unique_ptr<host::Host> local_;
  std::vector<RemoteNode> remote_;
  std::map<int, support::ProcessWatch> leaders_;              ///< those that can be watched and live
  std::map<int, std::string> lost_leaders_;                   ///< and why, until it is taken account of
  support::Interval glance_{std::chrono::milliseconds(100)};  ///< at the leaders
  std::uint32_t polls_ = 0;
  std::unique_ptr<transport::Transport> transport_;
  std::optional<transport::Outbox> outbox_;
  transport::Backoff backoff_;
  std::atomic<std::uint64_t> processes_ = 0;  ///< written under the mutex

  detail::HomeProcess home_;

  mutable Seat seat_;

  PoolState state_ = PoolState::running;
  std::string broken_;  ///< why
  bool hosts_stopped_ = false;
  Ending ending_ = Ending::far;
  std::string why_ending_;
  bool is_cut_short_ = false;  ///< whether anybody has been told
  HostBook hosts_;
  scheduler::Scheduler scheduler_;
  std::unique_ptr<Memory> memory_;
  SharedObjects objects_;
  std::uint32_t waits_ = 0;            ///< of threads of the master for shared objects
  std::uint32_t waiting_threads_ = 0;  ///< that wait for the pool, as long as it takes
  bool driver_is_counted_ = false;     ///< among them
  std::uint32_t callbacks_ = 0;        ///< that run now
  std::uint64_t deeds_ = 0;            ///< grows with all that may lead to somebody's going on
  DeadlockWatch deadlocks_;
  /// Nothing has happened since then, though it might.
  struct Stall {
    std::uint64_t deeds = 0;
    Clock::time_point since{};
    bool told = false;
  };
  Stall stall_;
  journal::Journals journals_{warning()};
  shared::Holdings<task::TaskNumber> held_inline_;  ///< by tasks that run in the master
  support::NodeRecycler nodes_;
  Calls calls_{&nodes_};
  std::uint64_t handles_ = 0;                              ///< calls that nobody waits for
  std::set<std::pair<Deadline, host::CallId>> deadlines_;  ///< of such calls
  std::deque<EndedCall> ended_;                            ///< such calls, whose handles are to be told
  std::pmr::unordered_map<host::LotId, OpenLot> lots_{&nodes_};
  host::CallId next_call_ = 1;

  BackgroundDriver background_{
      seat_, [this] { return handles_ != 0 || !ended_.empty(); },
      [this](Lock& lock, const detail::Condition& condition) { drive_in_background(lock, condition); }};
};

}  // namespace rankpool::master
