// The engine carries out what the scheduler decides.
#include <chrono>
#include <variant>

#include "master/engine.hpp"

namespace rankpool::master {

using namespace std::chrono_literals;

void Engine::dispatch() {
  if (state_ == PoolState::broken || state_ == PoolState::terminated) return;
  const bool any_could_be_late = scheduler_.any_may_be_late();
  if (scheduler_.needs_time()) scheduler_.tell_time(Clock::now().time_since_epoch() / 1ns);
  while (const auto command = scheduler_.next()) {
    std::visit([this](const auto& what) { carry_out(what); }, *command);
  }
  // Who sleeps is to look now and then from here on.
  if (!any_could_be_late && scheduler_.any_may_be_late() && seat_.driving() == Driving::sleeping) local_->ring();
  if (outbox_) outbox_->flush();
  release_destroyed();
}

void Engine::carry_out(const scheduler::RunLot& command) {
  Call& call = calls_.at(command.job);
  const KeptPiece& kept = call.piece_of(command.tasks.first)->second;
  if (command.is_copy) note_copy(call, kept.built.piece.first);
  const host::Lot lot{.id = command.lot,
                      .call = command.job,
                      .piece = kept.built.piece,
                      .first = command.tasks.first,
                      .count = command.tasks.count,
                      .attempt = command.attempt,
                      .executors = static_cast<std::uint32_t>(processes_),
                      .total = call.total.value_or(call.tasks)};
  try {
    inform(call, command.host);
    ++deeds_;
    lots_.emplace(lot.id, OpenLot{lot.call, command.host, lot.attempt, lot.count, lot.piece.first});
    if (command.host == local_host) {
      local_->post(lot);
    } else {
      send_lot(lot, call, remote_[command.host - 1].leader);
    }
  } catch (...) {
    // No host has the lot: this call can't go on, the others can.
    lots_.erase(lot.id);
    scheduler_.tasks_returned(command.host, lot.id, command.tasks);
    fail(call, std::current_exception());
  }
}

void Engine::inform(Call& call, scheduler::HostId host) {
  if (call.informed.contains(host)) return;
  const host::CallImage& image = call.image;
  if (host == local_host) {
    local_->open_call(image);
    call.informed.insert(host);
    return;
  }
  call.informed.insert(host);
  outbox_->add(remote_[host - 1].leader, wire::OpenCall{.call = image.id,
                                                        .kernel = image.kernel,
                                                        .callable = {image.callable.data(), image.callable.size()},
                                                        .input_stride = image.input_stride,
                                                        .schedule = image.schedule,
                                                        .chunksize = image.chunksize,
                                                        .task_timeout = image.task_timeout.count(),
                                                        .random_numbers = image.random_numbers});
}

void Engine::send_lot(const host::Lot& lot, const Call& call, int peer) {
  const std::uint64_t skip = lot.first - lot.piece.first;
  const std::byte* data = local_->at(lot.piece.data);
  wire::RunLot message{.lot = lot.id,
                       .call = lot.call,
                       .first = lot.first,
                       .count = lot.count,
                       .attempt = lot.attempt,
                       .executors = lot.executors,
                       .total = lot.total,
                       .offsets = {},
                       .inputs = {}};
  if (call.image.input_stride == detail::variable_stride) {
    const auto* offsets = reinterpret_cast<const std::uint64_t*>(local_->at(lot.piece.offsets)) + skip;
    message.offsets = wire::Offsets(std::span(offsets, lot.count + 1));
    message.inputs = {data + offsets[0], offsets[lot.count] - offsets[0]};
  } else {
    message.inputs = {data + skip * call.image.input_stride, lot.count * call.image.input_stride};
  }
  if (!transport::Outbox::is_large(message)) return outbox_->add(peer, message);
  // The piece stays until its last task has ended, and so until the leader has it all. One that is lost meanwhile may
  // read what takes its place: nobody listens to what it makes of that.
  outbox_->add_from_place(peer, message, local_->hold_memory());
}

void Engine::carry_out(const scheduler::RetractLot& command) {
  ++deeds_;
  if (command.host == local_host) {
    local_->retract(command.lot);
  } else {
    outbox_->add(remote_[command.host - 1].leader, wire::RetractLot{command.lot});
  }
}

void Engine::carry_out(const scheduler::GiveUp& command) {
  Call& call = calls_.at(command.job);
  const auto death = call.deaths.find(command.task);
  if (call.sink != nullptr) {
    if (death != call.deaths.end() && death->second.attempt == command.attempts) {
      task::DeathReport& report = death->second.report;
      report.memory_limit = options_.memory_limit;
      call.sink->error(command.task, task::worker_lost(report, command.task, command.attempts, call.max_attempts));
    } else {
      const int leader = leader_of(command.host);
      call.sink->error(command.task, task::node_lost(hosts_.why_lost(command.host), leader, host_name(leader),
                                                     command.task, command.attempts, call.max_attempts));
    }
  }
  call.deaths.erase(command.task);
  settle(call, command.task, 1);
  look_at_race(call);
}

void Engine::carry_out(const scheduler::JobDone& command) { forget(command.job); }

}  // namespace rankpool::master
