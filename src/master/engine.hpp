// The engine: joins user threads, scheduler, this node's host and the other nodes' leaders.
//
//   caller ──draw──► pieces ──► Scheduler ──RunLot──► Host of this node            ──► executors
//                                  ▲    └───────────► Outbox ══ MPI ══► leader rank ──► executors there
//   caller ◄─sink── Engine ◄───────┴── reports (HostListener) ◄──────────┘
//
// Whoever waits for a call drives the engine; of several waiting threads one drives and the others sleep. All state is
// under one mutex, released while inputs are drawn (user code) and while the driver sleeps.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <rankpool/detail/call_spec.hpp>

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
  /// `transport` is null when there are no other nodes.
  Engine(EngineOptions options, std::unique_ptr<host::Host> local, std::uint32_t local_executors,
         std::unique_ptr<transport::Transport> transport, std::span<const RemoteNode> nodes);
  ~Engine() override;

  void run(const detail::CallSpec& spec, detail::InputSource& source, detail::ResultSink& sink) override;
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

  // Calls (engine.cpp).
  Call& open(const detail::CallSpec& spec, detail::InputSource& source, detail::ResultSink& sink);
  void draw(Lock& lock, Call& call, detail::InputSource& source, PieceBuilder& builder);
  [[nodiscard]] bool wants_input(const Call& call) const;
  void add_pieces(Call& call, std::span<const BuiltPiece> pieces);
  void await_end(Lock& lock, Call& call, detail::InputSource& source, PieceBuilder& builder,
                 std::optional<Clock::time_point> deadline);
  void abandon(Call& call);
  void forget(host::CallId call);
  void fail(Call& call, const std::exception_ptr& error);
  void tell_joiner();
  void fail_calls(const std::exception_ptr& error);
  void check_caller() const;
  void check_thread() const;
  void check_running() const;

  // Driving (engine.cpp).
  [[nodiscard]] bool is_driven() const { return driver_.load() != std::thread::id(); }
  void drive_or_wait(Lock& lock, std::optional<Clock::time_point> deadline);
  template <typename Work>
  void drive(const Work& work);
  bool poll_hosts();
  void step(Lock& lock, std::optional<Clock::time_point> deadline);
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

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<std::thread::id> driver_;  ///< written under the mutex; no id: nobody drives
  std::uint32_t waiting_ = 0;            ///< threads asleep on `changed_`

  PoolState state_ = PoolState::running;
  std::string broken_;  ///< why
  bool hosts_stopped_ = false;
  std::uint32_t hosts_alive_ = 0;
  scheduler::Scheduler scheduler_;
  Calls calls_;
  std::unordered_map<host::LotId, OpenLot> lots_;
  host::CallId next_call_ = 1;
};

}  // namespace rankpool::master
