// Turns what a host reports, here or in a message, into the engine's own calls.
#pragma once

#include <cstring>
#include <utility>
#include <vector>

#include "host/lot.hpp"
#include "master/engine.hpp"
#include "wire/messages.hpp"

namespace rankpool::master {

class Engine::LocalReports final : public host::HostListener {
 public:
  explicit LocalReports(Engine& engine) : engine_(engine) {}

  void on_results(host::LotId lot, std::uint64_t first, std::uint64_t count, std::int64_t nanoseconds,
                  detail::Bytes encoded) override {
    engine_.end_inline_task();
    engine_.results(local_host, lot, first, count, nanoseconds, encoded);
  }
  void on_task_failed(host::LotId lot, std::uint64_t task, std::int64_t nanoseconds, host::Place place,
                      detail::Bytes image) override {
    engine_.end_inline_task();
    engine_.task_failed(local_host, lot, task, nanoseconds, place, image);
  }
  void on_task_died(host::LotId lot, std::uint64_t task, const task::DeathReport& report) override {
    engine_.task_died(local_host, lot, task, report);
  }
  void on_tasks_returned(host::LotId lot, std::uint64_t first, std::uint64_t count) override {
    engine_.tasks_returned(local_host, lot, first, count);
  }
  void on_retracted(host::LotId lot) override { engine_.tasks_returned(local_host, lot, 0, 0); }
  void on_initializer_failed(host::Place place, detail::Bytes image) override {
    engine_.initializer_failed(place, image);
  }
  void on_executors(std::uint32_t count, const std::string& why) override { engine_.executors(local_host, count, why); }
  void on_rank_lost(const host::RankLoss& loss, std::uint32_t executors) override {
    engine_.rank_lost(local_host, loss, executors);
  }
  void on_question(const host::Question& question) override { engine_.question(local_host, question); }
  void on_executor_gone(std::uint32_t slot) override { engine_.objects_.bury_executor(local_host, slot); }
  void on_blocked(const host::Blocked& blocked) override { engine_.blocked(local_host, blocked); }
  void on_far_rung() override { engine_.objects_.look_at_waiting(); }
  void on_broken(const std::string& reason) override {
    engine_.host_broken(local_host, reason, scheduler::Unreported::never_started);
  }

 private:
  Engine& engine_;
};

class Engine::RemoteReports {
 public:
  RemoteReports(Engine& engine, scheduler::HostId host) : engine_(engine), host_(host) {}

  void operator()(const wire::Results& m) const {
    engine_.results(host_, m.lot, m.first, m.count, m.nanoseconds, m.encoded);
  }
  void operator()(const wire::TaskFailed& m) const {
    engine_.task_failed(host_, m.lot, m.task, m.nanoseconds, {m.rank, m.slot}, m.image);
  }
  void operator()(const wire::InitializerFailed& m) const { engine_.initializer_failed({m.rank, m.slot}, m.image); }
  void operator()(const wire::TaskDied& m) const {
    std::vector<detail::CodeAddress> stack(m.stack.size() / sizeof(detail::CodeAddress));
    if (!stack.empty()) std::memcpy(stack.data(), m.stack.data(), m.stack.size());
    engine_.task_died(host_, m.lot, m.task,
                      {.rank = m.rank,
                       .host = m.host,
                       .slot = m.slot,
                       .pid = m.pid,
                       .wait_status = m.wait_status,
                       .time_limit = std::chrono::nanoseconds(m.time_limit),
                       .is_ours = m.is_ours,
                       .stderr_tail = m.stderr_tail,
                       .stack = std::move(stack)});
  }
  void operator()(const wire::TasksReturned& m) const { engine_.tasks_returned(host_, m.lot, m.first, m.count); }
  void operator()(const wire::Retracted& m) const { engine_.tasks_returned(host_, m.lot, 0, 0); }
  void operator()(const wire::Executors& m) const { engine_.executors(host_, m.count, m.why); }
  void operator()(const wire::Question& m) const { engine_.question(host_, {m.slot, m.number, m.bytes}); }
  void operator()(const wire::ExecutorGone& m) const { engine_.objects_.bury_executor(host_, m.slot); }
  void operator()(const wire::Blocked& m) const { engine_.blocked(host_, {m.executors, m.all, m.why}); }
  void operator()(const wire::Stopped&) const {}
  void operator()(const wire::RankLost& m) const { engine_.rank_lost(host_, {m.rank, m.host, m.pid}, m.executors); }
  void operator()(const wire::Broken& m) const {
    using scheduler::Unreported;
    engine_.host_broken(host_, m.reason, m.all_reported ? Unreported::never_started : Unreported::may_have_run);
  }

 private:
  Engine& engine_;
  scheduler::HostId host_;
};

}  // namespace rankpool::master
