#include "master/engine.hpp"

#include <algorithm>
#include <set>
#include <sstream>
#include <type_traits>
#include <utility>

#include <rankpool/detail/code_address.hpp>
#include <rankpool/errors.hpp>

#include "master/reports.hpp"
#include "task/this_task.hpp"
#include "wire/codec.hpp"

namespace rankpool::master {
namespace {

using namespace std::chrono_literals;

// Encoded inputs kept ahead of the executors, per node: enough for several pieces in flight, little enough for caches.
constexpr std::uint64_t window_bytes = std::uint64_t{2} << 20U;

constexpr std::uint64_t largest_chunk = std::uint64_t{1} << 36U;

// Leaders that have been told to stop get this long to take the message.
constexpr auto flush_limit = 10s;

std::string cancelled_text(const Call& call) {
  std::ostringstream text;
  text << call.what << " was cancelled by shutdown: " << call.settled << " of " << call.total.value_or(call.tasks)
       << " tasks had started and have ended";
  return text.str();
}

}  // namespace

class Engine::Memory final : public PieceMemory {
 public:
  explicit Memory(Engine& engine) : engine_(engine) {}
  std::uint64_t allocate(std::size_t bytes) override {
    const std::lock_guard lock(engine_.mutex_);
    return engine_.local_->allocate(bytes);
  }
  void release(std::uint64_t offset) override {
    const std::lock_guard lock(engine_.mutex_);
    engine_.local_->release(offset);
  }
  std::byte* at(std::uint64_t offset) override { return engine_.local_->at(offset); }

 private:
  Engine& engine_;
};

Engine::Engine(EngineOptions options, std::unique_ptr<host::Host> local, std::uint32_t local_executors,
               std::unique_ptr<transport::Transport> transport, std::span<const RemoteNode> nodes)
    : options_(std::move(options)),
      local_(std::move(local)),
      remote_(nodes.begin(), nodes.end()),
      transport_(std::move(transport)),
      processes_(local_executors) {
  if (transport_) outbox_.emplace(*transport_);
  scheduler_.add_host(local_host, local_executors);
  if (local_executors != 0) ++hosts_alive_;
  for (std::size_t i = 0; i < remote_.size(); ++i) {
    scheduler_.add_host(static_cast<scheduler::HostId>(i + 1), remote_[i].executors);
    processes_ += remote_[i].executors;
    if (remote_[i].executors != 0) ++hosts_alive_;
  }
}

Engine::~Engine() {
  if (!hosts_stopped_) terminate();
}

/// One thread drives at a time; the others are told when it stops.
template <typename Work>
void Engine::drive(const Work& work) {
  struct Seat {
    explicit Seat(Engine& engine) : engine_(engine) { engine_.driver_ = std::this_thread::get_id(); }
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;
    ~Seat() {
      engine_.driver_ = std::thread::id();
      if (engine_.waiting_ != 0) engine_.changed_.notify_all();
    }
    Engine& engine_;
  };
  const Seat seat(*this);
  work();
}

// ---------------------------------------------------------------------------------------------------------- calls

void Engine::run(const detail::CallSpec& spec, detail::InputSource& source, detail::ResultSink& sink) {
  std::optional<Clock::time_point> deadline;
  const auto timeout = spec.timeout ? spec.timeout : options_.timeout;
  // Longer than a clock can count is no limit.
  if (timeout && *timeout < 24h * 365 * 100) {
    deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(*timeout);
  }
  check_caller();
  check_thread();
  Lock lock(mutex_);
  check_running();
  Call& call = open(spec, source, sink);
  const host::CallId id = call.image.id;
  Memory memory(*this);
  const std::uint64_t chunk = call.image.chunksize == 0 ? 1 : call.image.chunksize;
  PieceBuilder builder(memory, spec.input_stride, chunk, 4 * processes_);
  try {
    await_end(lock, call, source, builder, deadline);
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    abandon(call);
    dispatch();
    tell_joiner();
    lock.unlock();
    throw;
  }
  const std::exception_ptr failure = call.failure;
  calls_.erase(id);
  tell_joiner();
  lock.unlock();
  if (failure) std::rethrow_exception(failure);
}

Call& Engine::open(const detail::CallSpec& spec, detail::InputSource& source, detail::ResultSink& sink) {
  const host::CallId id = next_call_++;
  const std::optional<std::uint64_t> total = source.size();
  Call call;  // among the calls only when nothing can throw any more
  call.image.id = id;
  call.image.kernel = detail::address_of(spec.kernel);
  call.image.module_name = detail::module_name(call.image.kernel.module);
  call.image.callable.assign(spec.callable.data(), spec.callable.data() + spec.callable.size());
  call.image.input_stride = spec.input_stride;
  call.image.schedule = spec.schedule.value_or(options_.schedule);
  call.image.chunksize = spec.chunksize != 0 ? spec.chunksize : options_.chunksize;
  // A chunk larger than the call is the call; the limit keeps products of it in range.
  call.image.chunksize =
      std::min({call.image.chunksize, largest_chunk, std::max<std::uint64_t>(total.value_or(largest_chunk), 1)});
  if (call.image.schedule == Schedule::static_ && call.image.chunksize == 0 && total) {
    call.image.chunksize = (*total + processes_ - 1) / processes_;
  }
  call.what = spec.what;
  call.total = total;
  call.sink = &sink;
  call.max_attempts = spec.max_attempts.value_or(options_.max_attempts);
  scheduler_.open_job(id, {.schedule = call.image.schedule,
                           .chunksize = call.image.chunksize,
                           .max_attempts = call.max_attempts,
                           .total = total});
  return calls_.emplace(id, std::move(call)).first->second;
}

void Engine::await_end(Lock& lock, Call& call, detail::InputSource& source, PieceBuilder& builder,
                       std::optional<Clock::time_point> deadline) {
  while (call.state != Call::State::ended) {
    const bool late = deadline && Clock::now() >= *deadline;
    if (!late && call.state == Call::State::drawing && wants_input(call)) {
      draw(lock, call, source, builder);
      dispatch();
      // Inputs may come slowly; what executors report must not wait for them.
      if (!is_driven()) drive([this] { poll_hosts(); });
      continue;
    }
    if (late) {
      // What has ended but was not worth waking the master for counts too.
      if (!is_driven()) drive([this] { poll_hosts(); });
      if (call.state == Call::State::ended) break;
      std::ostringstream text;
      text << call.what << " timed out: " << call.settled << " of "
           << (call.state == Call::State::drawing ? "more than " : "") << call.tasks
           << " tasks had ended; those that had not started are cancelled";
      throw TimeoutError(text.str());
    }
    drive_or_wait(lock, deadline);
  }
}

bool Engine::wants_input(const Call& call) const {
  const std::uint64_t least = 2 * processes_ * std::max<std::uint64_t>(call.image.chunksize, 1);
  return scheduler_.pending_tasks(call.image.id) < least ||
         call.unsettled_bytes() < window_bytes * (remote_.size() + 1);
}

void Engine::draw(Lock& lock, Call& call, detail::InputSource& source, PieceBuilder& builder) {
  lock.unlock();
  std::exception_ptr thrown;
  bool more = false;
  try {
    builder.start_round();
    more = source.draw(builder);
  } catch (...) {
    thrown = std::current_exception();
  }
  if (!more && !thrown) builder.finish();
  const std::vector<BuiltPiece> built = builder.take();
  lock.lock();
  if (call.state != Call::State::drawing || thrown) {
    for (const BuiltPiece& piece : built) local_->release(piece.block);
    if (thrown) std::rethrow_exception(thrown);
    return;  // ended from outside meanwhile: terminated, broken, cancelled
  }
  add_pieces(call, built);
  if (!more) {
    call.state = Call::State::drained;
    scheduler_.end_input(call.image.id);
  }
}

void Engine::add_pieces(Call& call, std::span<const BuiltPiece> pieces) {
  for (const BuiltPiece& built : pieces) {
    call.pieces.emplace(built.piece.first, KeptPiece{built, built.piece.count});
    call.tasks += built.piece.count;
    call.bytes += built.bytes;
    scheduler_.add_tasks(call.image.id, {built.piece.first, built.piece.count});
  }
  call.sink->expect(call.tasks);
}

// join() may be asleep until the last call has left.
void Engine::tell_joiner() {
  if (state_ == PoolState::running || !calls_.empty()) return;
  local_->ring();
  changed_.notify_all();
}

/// The call can't go on; its caller gets the error when what is in flight has ended.
void Engine::fail(Call& call, const std::exception_ptr& error) {
  if (call.state == Call::State::ended) return;
  if (call.state != Call::State::abandoned) {
    if (!call.failure) call.failure = error;
    call.sink = nullptr;
    call.state = Call::State::drained;
  }
  scheduler_.cancel_job(call.image.id);
  changed_.notify_all();
}

// The caller leaves. What runs is let run, and dropped when it ends.
void Engine::abandon(Call& call) {
  call.sink = nullptr;
  if (call.state == Call::State::ended) {
    calls_.erase(call.image.id);
    return;
  }
  call.state = Call::State::abandoned;
  scheduler_.cancel_job(call.image.id);
}

void Engine::forget(host::CallId id) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  Call& call = found->second;
  for (const auto& [first, kept] : call.pieces) local_->release(kept.built.block);
  call.pieces.clear();
  for (const scheduler::HostId host : call.informed) {
    if (host == local_host) {
      local_->close_call(id);
    } else {
      outbox_->add(remote_[host - 1].leader, wire::CloseCall{id});
    }
  }
  if (call.state == Call::State::cancelled && !call.is_settled()) {
    call.failure = std::make_exception_ptr(CancelledError(cancelled_text(call)));
  }
  const bool awaited = call.state != Call::State::abandoned;
  call.state = Call::State::ended;
  if (!awaited) calls_.erase(found);
}

void Engine::fail_calls(const std::exception_ptr& error) {
  std::vector<host::CallId> abandoned;
  for (auto& [id, call] : calls_) {
    if (call.state == Call::State::ended) continue;
    if (call.state == Call::State::abandoned) abandoned.push_back(id);
    call.failure = error;
    call.sink = nullptr;
    call.state = Call::State::ended;
  }
  for (const host::CallId id : abandoned) calls_.erase(id);
  lots_.clear();
  changed_.notify_all();
}

// Before the mutex is locked: the driver holds it while it delivers. A task that runs inline doesn't.
void Engine::check_caller() const {
  if (driver_.load() != std::this_thread::get_id() || task::current_task() != nullptr) return;
  throw std::logic_error(
      "rankpool: the pool was called from code that it runs while it delivers a result, such as a result's "
      "deserialization; that would wait for itself");
}

void Engine::check_thread() const {
  if (!options_.only_thread || *options_.only_thread == std::this_thread::get_id()) return;
  throw std::logic_error(
      "rankpool: MPI was started without MPI_THREAD_MULTIPLE, so only the thread that started it "
      "may use the pool; start MPI with MPI_Init_thread(MPI_THREAD_MULTIPLE) to lift that");
}

void Engine::check_running() const {
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

// --------------------------------------------------------------------------------------------------------- driving

void Engine::drive_or_wait(Lock& lock, std::optional<Clock::time_point> deadline) {
  if (is_driven()) {
    ++waiting_;
    if (deadline) {
      changed_.wait_until(lock, *deadline);
    } else {
      changed_.wait(lock);
    }
    --waiting_;
    return;
  }
  drive([&] { step(lock, deadline); });
}

bool Engine::poll_hosts() {
  LocalReports reports(*this);
  bool happened = local_->poll(reports);
  if (transport_) happened |= transport_->poll([this](int source, detail::Bytes message) { receive(source, message); });
  dispatch();
  return happened;
}

void Engine::step(Lock& lock, std::optional<Clock::time_point> deadline) {
  if (poll_hosts()) {
    backoff_.reset();
    return;
  }
  auto sleep = std::chrono::nanoseconds::max();
  if (deadline) sleep = std::max<std::chrono::nanoseconds>(0ns, *deadline - Clock::now());
  // A message of another node wakes nobody: look again soon.
  if (transport_) sleep = std::min(sleep, backoff_.next());
  lock.unlock();
  local_->wait(sleep);
  lock.lock();
}

// ------------------------------------------------------------------------------------------------------------ life

PoolState Engine::state() const {
  check_caller();
  const std::lock_guard lock(mutex_);
  return state_;
}

void Engine::close() {
  check_caller();
  const std::lock_guard lock(mutex_);
  if (state_ == PoolState::running) state_ = PoolState::closed;
}

void Engine::join() {
  check_caller();
  check_thread();
  Lock lock(mutex_);
  if (state_ == PoolState::running) {
    throw std::logic_error("rankpool: join() of a pool that is still running; call close() or terminate() first");
  }
  while (!calls_.empty()) drive_or_wait(lock, std::nullopt);
  stop_hosts(wire::StopMode::finish);
}

void Engine::terminate() {
  check_caller();
  Lock lock(mutex_);
  if (state_ != PoolState::broken) state_ = PoolState::terminated;
  fail_calls(std::make_exception_ptr(CancelledError("the pool was terminated")));
  // A driver that sleeps uses the host without the lock.
  while (is_driven() && driver_.load() != std::this_thread::get_id()) {
    local_->ring();
    ++waiting_;
    changed_.wait_for(lock, 10ms);
    --waiting_;
  }
  stop_hosts(wire::StopMode::kill);
}

void Engine::cancel_pending() {
  check_caller();
  const std::lock_guard lock(mutex_);
  for (auto& [id, call] : calls_) {
    if (call.state != Call::State::drawing && call.state != Call::State::drained) continue;
    call.state = Call::State::cancelled;
    scheduler_.cancel_job(id);
  }
  dispatch();
  local_->ring();
  changed_.notify_all();
}

// Until each leader has said its last: a message that is still under way when its communicator is freed would turn up
// in the next one. What else comes is not wanted any more.
void Engine::await_leaders() {
  std::set<int> awaited;
  for (const RemoteNode& node : remote_) awaited.insert(node.leader);
  const auto deadline = Clock::now() + flush_limit;
  transport::Backoff backoff;
  while (!awaited.empty() && Clock::now() < deadline) {
    const bool received = transport_->poll([&](int source, detail::Bytes message) {
      wire::for_each_to_master(message, [&](const auto& last) {
        if constexpr (std::is_same_v<std::decay_t<decltype(last)>, wire::Stopped>) awaited.erase(source);
      });
    });
    if (received) backoff.reset();
    std::this_thread::sleep_for(backoff.next());
  }
}

void Engine::stop_hosts(wire::StopMode mode) {
  if (std::exchange(hosts_stopped_, true)) return;
  if (transport_) {
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
