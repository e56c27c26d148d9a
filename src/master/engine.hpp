// The engine: joins user threads, scheduler, this node's host and the other nodes' leaders.
//
//   caller ──draw──► pieces ──► Scheduler ──RunLot──► Host of this node            ──► executors
//                                  ▲    └───────────► Outbox ══ MPI ══► leader rank ──► executors there
//   caller ◄─sink── Engine ◄───────┴── reports (HostListener) ◄──────────┘
//
// Whoever waits for a call drives the engine; of several waiting threads one drives and the others sleep. Where nobody
// waits but calls are open, a background thread drives. All state is under one mutex, released while inputs are drawn
// and callbacks run (user code) and while the driver sleeps.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <rankpool/detail/call_spec.hpp>
#include <rankpool/detail/home_process.hpp>

#include "host/host.hpp"
#include "master/call.hpp"
#include "master/options.hpp"
#include "scheduler/scheduler.hpp"
#include "transport/backoff.hpp"
#include "transport/outbox.hpp"
#include "transport/transport.hpp"

namespace rankpool::master {

class Engine final : public detail::PoolCore {
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
  [[nodiscard]] int processes() const override { return static_cast<int>(processes_); }
  [[nodiscard]] PoolState state() const override;
  [[nodiscard]] std::string name() const override { return options_.name; }

 private:
  using Lock = std::unique_lock<std::mutex>;
  using Clock = std::chrono::steady_clock;
  using Calls = std::unordered_map<host::CallId, Call>;
  class Memory;        // channel memory under the engine's mutex
  class LocalReports;  // a host's reports, and which host they come from
  class RemoteReports;

  /// What the driver does.
  enum class Driving : std::uint8_t {
    nothing,       ///< nobody drives
    polling,       ///< takes in what hosts report and delivers results, under the mutex
    sleeping,      ///< waits for the host, or runs tasks inline
    calling_back,  ///< tells handles that their calls have ended
  };

  // Calls (engine_calls.cpp).
  Call& open(const detail::CallSpec& spec, std::optional<std::uint64_t> total, detail::ResultSink& sink);
  void await_end(Lock& lock, Call& call, detail::InputSource& source, PieceBuilder& builder,
                 std::optional<Deadline> deadline);
  bool draw(Lock& lock, host::CallId id, detail::InputSource& source, PieceBuilder& builder, std::uint64_t most);
  void add_pieces(Call& call, std::span<const BuiltPiece> pieces);
  void end_input(Call& call);
  [[nodiscard]] bool wants_input(const Call& call) const;
  [[nodiscard]] std::uint64_t first_piece() const { return 4 * processes_; }
  [[nodiscard]] std::optional<Deadline> deadline_of(const detail::CallSpec& spec) const;
  void detach(Call& call, const std::exception_ptr& failure);
  void abandon(Call& call);
  void ask_to_stop(const Call& call);
  void forget(host::CallId call);
  void fail(Call& call, const std::exception_ptr& error);
  void fail_calls(const std::exception_ptr& error);
  void expire_calls();
  void check_running() const;
  void check_not_drawing() const;

  // Calls that nobody waits for (engine_async.cpp).
  [[nodiscard]] Call* find(const detail::AsyncCall& handle);
  Call* recall(Lock& lock, const detail::AsyncCall& handle, const Call& call);
  [[nodiscard]] bool has_begun(const Call& call) const;
  [[nodiscard]] bool was_refused(const Call& call) const;
  void end_inputs_drawn_here();

  // Driving (engine_driving.cpp).
  [[nodiscard]] bool is_driven() const { return driving_.load() != Driving::nothing; }
  [[nodiscard]] bool drives_here() const { return is_driven() && driver_.load() == std::this_thread::get_id(); }
  void check_nonblocking() const;
  void check_blocking() const;
  void check_thread() const;
  [[nodiscard]] bool may_drive_here() const;
  void drive_or_wait(Lock& lock, std::optional<Deadline> deadline);
  template <typename Work>
  void drive(Lock& lock, const Work& work);
  bool poll_hosts();
  void poll_now(Lock& lock);
  void poll_beside_callback(Lock& lock);
  void step(Lock& lock, std::optional<Deadline> deadline);
  void deliver(Lock& lock);
  void attend(Lock& lock);
  void wake_background();
  void drive_in_background(const std::stop_token& stop);
  void stop_background();

  // Life (engine.cpp).
  void await_leaders();
  void stop_hosts(wire::StopMode mode);

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
  void task_failed(scheduler::HostId host, host::LotId lot, std::uint64_t task, std::int64_t nanoseconds,
                   host::Place place, detail::Bytes image);
  void task_died(scheduler::HostId host, host::LotId lot, std::uint64_t task, const task::DeathReport& report);
  void task_timed_out(scheduler::HostId host, host::LotId lot, std::uint64_t task, const task::DeathReport& report);
  void tasks_returned(scheduler::HostId host, host::LotId lot, std::uint64_t first, std::uint64_t count);
  void host_broken(scheduler::HostId host, const std::string& reason);
  void initializer_failed(host::Place place, detail::Bytes image);
  void break_pool(const std::string& reason);
  void settle(Call& call, std::uint64_t first, std::uint64_t count);
  Call* call_of(host::LotId lot);
  void leave_lot(host::LotId lot, std::uint64_t count);
  void receive(int source, detail::Bytes message);
  [[nodiscard]] std::string host_name(int rank) const;

  /// Host 0 is this node's; host k > 0 is remote_[k - 1].
  static constexpr scheduler::HostId local_host = 0;

  EngineOptions options_;
  std::unique_ptr<host::Host> local_;
  std::vector<RemoteNode> remote_;
  std::unique_ptr<transport::Transport> transport_;
  std::optional<transport::Outbox> outbox_;
  transport::Backoff backoff_;
  std::uint64_t processes_ = 0;

  detail::HomeProcess home_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t waiting_ = 0;  ///< threads asleep on `changed_`
  // Written under the mutex; read without it by a thread that asks whether it is the driver itself.
  std::atomic<std::thread::id> driver_;
  std::atomic<Driving> driving_ = Driving::nothing;
  std::uint64_t drives_ = 0;  ///< how often somebody has begun to drive

  PoolState state_ = PoolState::running;
  std::string broken_;  ///< why
  bool hosts_stopped_ = false;
  std::uint32_t hosts_alive_ = 0;
  scheduler::Scheduler scheduler_;
  std::unique_ptr<Memory> memory_;
  Calls calls_;
  std::uint64_t handles_ = 0;                              ///< calls that nobody waits for
  std::set<std::pair<Deadline, host::CallId>> deadlines_;  ///< of such calls
  std::deque<EndedCall> ended_;                            ///< such calls, whose handles are to be told
  std::unordered_map<host::LotId, OpenLot> lots_;
  host::CallId next_call_ = 1;

  std::condition_variable_any background_work_;
  bool background_sleeps_ = false;  ///< until it is told of a call
  std::jthread background_;         ///< started with the first call that nobody waits for
};

}  // namespace rankpool::master
