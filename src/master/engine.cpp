#include "master/engine.hpp"

#include <algorithm>
#include <set>
#include <type_traits>
#include <utility>

#include <rankpool/errors.hpp>

#include "master/engine_memory.hpp"
#include "wire/codec.hpp"

namespace rankpool::master {
namespace {

using namespace std::chrono_literals;

// Leaders that have been told to stop get this long to take the message.
constexpr auto flush_limit = 10s;

/// Whether a leader's message holds its last word.
bool says_stopped(detail::Bytes message, detail::Bytes beside) {
  bool stopped = false;
  try {
    wire::for_each_to_master(message, beside, [&](const auto& last) {
      stopped |= std::is_same_v<std::decay_t<decltype(last)>, wire::Stopped>;
    });
  } catch (const wire::Malformed&) {
    // The end of a node that talks nonsense is waited for no longer than flush_limit.
  }
  return stopped;
}

}  // namespace

Engine::Engine(EngineOptions options, std::unique_ptr<host::Host> local, std::uint32_t local_executors,
               std::unique_ptr<transport::Transport> transport, std::span<const RemoteNode> nodes)
    : options_(std::move(options)),
      local_(std::move(local)),
      remote_(nodes.begin(), nodes.end()),
      transport_(std::move(transport)),
      processes_(local_executors),
      memory_(std::make_unique<Memory>(*this)),
      objects_(make_objects()) {
  if (transport_) outbox_.emplace(*transport_);
  scheduler_.add_host(local_host, local_executors);
  hosts_.add(local_executors);
  for (std::size_t i = 0; i < remote_.size(); ++i) {
    scheduler_.add_host(static_cast<scheduler::HostId>(i + 1), remote_[i].executors);
    processes_ += remote_[i].executors;
    hosts_.add(remote_[i].executors);
    if (remote_[i].pid != 0) leaders_.emplace(remote_[i].leader, remote_[i].pid);
  }
}

std::shared_ptr<Engine> Engine::make(EngineOptions options, std::unique_ptr<host::Host> local,
                                     std::uint32_t local_executors, std::unique_ptr<transport::Transport> transport,
                                     std::span<const RemoteNode> nodes) {
  const auto end = [](Engine* engine) {
    if (engine->seat_.is_mine()) {
      std::thread([engine] { std::default_delete<Engine>()(engine); }).detach();
    } else {
      std::default_delete<Engine>()(engine);
    }
  };
  auto engine =
      std::make_unique<Engine>(std::move(options), std::move(local), local_executors, std::move(transport), nodes);
  std::shared_ptr<Engine> owner(engine.release(), end);
  shared::add_pool(owner->options_.pool, owner);
  return owner;
}

Engine::~Engine() {
  options_.only_thread.reset();  // there is nobody left to refuse
  if (!hosts_stopped_) terminate();
  stop_background();  // with it the last callback ends
  Lock lock(seat_.mutex());
  attend(lock);
}

PoolState Engine::state() const {
  check_nonblocking();
  const Lock lock(seat_.mutex());
  return state_;
}

void Engine::check_running() {
  check_job_goes_on();
  switch (state_) {
    case PoolState::running:
      return;
    case PoolState::broken:
      throw BrokenPool(broken_);
    case PoolState::closed:
    case PoolState::terminated:
      throw PoolClosed();
  }
}

void Engine::close() {
  check_nonblocking();
  const Lock lock(seat_.mutex());
  if (state_ == PoolState::running) state_ = PoolState::closed;
}

void Engine::join() {
  check_blocking();
  check_not_drawing();
  Lock lock(seat_.mutex());
  if (state_ == PoolState::running) {
    throw std::logic_error("rankpool: join() of a pool that is still running; call close() or terminate() first");
  }
  end_inputs_drawn_here();
  dispatch();
  const auto is_over = [](const auto& entry) {
    return entry.second.state == Call::State::abandoned && entry.second.is_won();
  };
  // Callbacks of other threads' driving are waited for too.
  const auto is_quiet = [this, is_over] {
    return std::ranges::all_of(calls_, is_over) && ended_.empty() && seat_.driving() != Driving::calling_back;
  };
  drive_until(lock, is_quiet, std::nullopt);
  wake_driver(lock);
  // Of calls that are over late tasks may still run, also where executors stand still.
  stop_hosts(calls_.empty() ? wire::StopMode::finish : wire::StopMode::kill);
  lock.unlock();
  journals_.flush();
  stop_background();
}

/// A driver that sleeps uses the host without the lock. (One that is in a callback doesn't, and may be for long.)
void Engine::wake_driver(Lock& lock) {
  while (seat_.driving() == Driving::sleeping && !seat_.is_mine()) {
    local_->ring();
    seat_.wait(
        lock, [this] { return seat_.driving() != Driving::sleeping; }, Clock::now() + 10ms);
  }
}

void Engine::terminate() {
  check_nonblocking();
  check_thread();
  Lock lock(seat_.mutex());
  if (state_ != PoolState::broken) state_ = PoolState::terminated;
  for (const auto& [id, call] : calls_) ask_to_stop(call);
  const auto terminated = std::make_exception_ptr(CancelledError("the pool was terminated"));
  fail_calls([&terminated](const Call&) { return terminated; });
  wake_driver(lock);
  try {
    stop_hosts(wire::StopMode::kill);
  } catch (...) {
    attend(lock);
    throw;
  }
  attend(lock);
  lock.unlock();
  journals_.flush();
}

void Engine::cancel_pending() {
  check_nonblocking();
  check_thread();
  Lock lock(seat_.mutex());
  for (auto& [id, call] : calls_) {
    if (!call.is_open()) continue;
    call.state = Call::State::cancelled;
    scheduler_.cancel_job(id);
  }
  attend(lock);
}

// Until each leader has said its last: a message that is still under way when its communicator is freed would turn up
// in the next one. What else comes is not wanted any more.
void Engine::await_leaders() {
  std::set<int> awaited;
  for (const RemoteNode& node : remote_) awaited.insert(node.leader);
  const auto deadline = Clock::now() + flush_limit;
  transport::Backoff backoff;
  while (!awaited.empty() && Clock::now() < deadline) {
    const bool received = transport_->poll([&](int source, detail::Bytes message, const transport::Cargo& cargo) {
      if (says_stopped(message, cargo.bytes)) awaited.erase(source);
    });
    look_after_leaders();
    std::erase_if(awaited, [this](int leader) { return transport_->is_given_up(leader); });
    if (received) backoff.reset();
    std::this_thread::sleep_for(backoff.next());
  }
  for (const int leader : awaited) {
    warn("rank " + std::to_string(leader) + " on " + host_name(leader) +
         " does not answer, as if it were stopped or stuck; MPI waits for it at the program's end");
  }
}

void Engine::stop_hosts(wire::StopMode mode) {
  if (std::exchange(hosts_stopped_, true)) return;
  objects_.forget_questions();
  if (transport_) {
    give_up_lost_leaders();  // nothing must be sent to them
    for (const RemoteNode& node : remote_) outbox_->add(node.leader, wire::Stop{mode});
    outbox_->flush();
    transport_->flush(flush_limit);
    await_leaders();
  }
  if (mode == wire::StopMode::kill) {
    local_->kill();
  } else {
    local_->shut_down();
  }
}

}  // namespace rankpool::master
