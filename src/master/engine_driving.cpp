// Who drives the engine, and what the driver does beside delivering results.
#include <system_error>
#include <utility>

#include <rankpool/errors.hpp>

#include "master/engine.hpp"
#include "master/reports.hpp"
#include "task/this_task.hpp"
#include "wire/codec.hpp"

namespace rankpool::master {
namespace {

using namespace std::chrono_literals;

// The background thread takes the seat when nobody has driven for this long: a loop of submit() and get() never meets
// it. A callback is this late at most. While calls are open its glances cost a third of a percent of a core.
constexpr auto grace = 1ms;

// Without a call for this long it sleeps until it is told of one, which costs start() a wake-up.
constexpr auto background_patience = 100ms;

// The pool of which this thread runs a callback.
thread_local const Engine* calling_back_for = nullptr;

/// Leaves a lock for a time, however that ends.
class Unlocked {
 public:
  explicit Unlocked(std::unique_lock<std::mutex>& lock) : lock_(lock) { lock_.unlock(); }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;
  ~Unlocked() { lock_.lock(); }

 private:
  std::unique_lock<std::mutex>& lock_;
};

}  // namespace

// Before the mutex is locked: the driver holds it while it delivers. A task that runs inline doesn't.
void Engine::check_nonblocking() const {
  if (driving_ != Driving::polling || !drives_here()) return;
  throw std::logic_error(
      "rankpool: the pool was called from code that it runs while it delivers a result, such as a result's "
      "deserialization; that would wait for itself");
}

void Engine::check_blocking() const {
  check_nonblocking();
  if (calling_back_for == this) {
    throw std::logic_error(
        "rankpool: a call that waits for the pool was made in a callback, on which the pool waits; submit the work "
        "and give its future a callback instead");
  }
  check_thread();
}

bool Engine::may_drive_here() const {
  return !options_.only_thread || options_.only_thread->id == std::this_thread::get_id();
}

void Engine::check_thread() const {
  if (!may_drive_here()) throw std::logic_error(options_.only_thread->refusal);
}

bool Engine::await(const detail::Condition& condition, detail::Deadline deadline) {
  home_.require("a future or a stream of a pool");
  check_blocking();
  Lock lock(mutex_);
  while (!condition()) {
    if (deadline && Clock::now() >= *deadline) return false;
    drive_or_wait(lock, deadline);
  }
  return true;
}

void Engine::drive_or_wait(Lock& lock, std::optional<Deadline> deadline) {
  if (!is_driven()) return drive(lock, [&] { step(lock, deadline); });
  // Who waits drives; the background thread gives way.
  if (driving_ == Driving::sleeping && driver_.load() == background_.get_id()) local_->ring();
  ++waiting_;
  if (deadline) {
    changed_.wait_until(lock, *deadline);
  } else {
    changed_.wait(lock);
  }
  --waiting_;
}

/// One thread drives at a time; the others are told when it stops.
template <typename Work>
void Engine::drive(Lock& lock, const Work& work) {
  class Seat {
   public:
    explicit Seat(Engine& engine) : engine_(engine) {
      ++engine_.drives_;
      engine_.driver_ = std::this_thread::get_id();
      engine_.driving_ = Driving::polling;
    }
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;
    ~Seat() {
      engine_.driving_ = Driving::nothing;
      engine_.driver_ = std::thread::id();
      if (engine_.waiting_ != 0) engine_.changed_.notify_all();
    }

   private:
    Engine& engine_;
  };
  const Seat seat(*this);
  work();
  deliver(lock);
}

bool Engine::poll_hosts() {
  if (hosts_stopped_) return false;
  LocalReports reports(*this);
  bool happened = local_->poll(reports);
  if (transport_) happened |= transport_->poll([this](int source, detail::Bytes message) { receive(source, message); });
  expire_calls();
  dispatch();
  return happened;
}

void Engine::poll_now(Lock& lock) {
  drive(lock, [this] { poll_hosts(); });
}

void Engine::step(Lock& lock, std::optional<Deadline> deadline) {
  if (poll_hosts() || !ended_.empty()) {
    backoff_.reset();
    return;
  }
  if (!deadlines_.empty()) deadline = std::min(deadline.value_or(Deadline::max()), deadlines_.begin()->first);
  auto sleep = std::chrono::nanoseconds::max();
  if (deadline) sleep = std::max<std::chrono::nanoseconds>(0ns, *deadline - Clock::now());
  // A message of another node wakes nobody: look again soon.
  if (transport_) sleep = std::min(sleep, backoff_.next());
  driving_ = Driving::sleeping;
  {
    const Unlocked asleep(lock);
    local_->wait(sleep);
  }
  driving_ = Driving::polling;
}

/// Polls while the driver, this thread or another, is in a callback; it delivers nothing.
void Engine::poll_beside_callback(Lock& lock) {
  class Interlude {
   public:
    explicit Interlude(Engine& engine) : engine_(engine), driver_(engine.driver_) {
      engine_.driver_ = std::this_thread::get_id();
      engine_.driving_ = Driving::polling;
    }
    Interlude(const Interlude&) = delete;
    Interlude& operator=(const Interlude&) = delete;
    ~Interlude() {
      engine_.driving_ = Driving::calling_back;
      engine_.driver_ = driver_;
    }

   private:
    Engine& engine_;
    std::thread::id driver_;
  };
  {
    const Interlude interlude(*this);
    if (poll_hosts()) return;
  }
  const Unlocked pause(lock);
  std::this_thread::sleep_for(50us);
}

// In their order, one at a time, without the lock.
void Engine::deliver(Lock& lock) {
  while (!ended_.empty()) {
    EndedCall ended = std::move(ended_.front());
    ended_.pop_front();
    driving_ = Driving::calling_back;
    {
      const Unlocked outside(lock);
      const Engine* const before = std::exchange(calling_back_for, this);
      ended.builder.reset();
      ended.handle->finish(std::move(ended.failure));
      ended.handle->call_back();
      ended.handle->set_done();
      ended.handle.reset();
      calling_back_for = before;
    }
    driving_ = Driving::polling;
    if (waiting_ != 0) changed_.notify_all();
  }
}

/// Something has changed from outside the driver's seat: commands go out, whoever sleeps hears of it, and handles of
/// calls that have ended by it are told.
void Engine::attend(Lock& lock) {
  dispatch();
  if (!is_driven()) return drive(lock, [] {});
  if (drives_here()) return;  // in a callback: the rest is done after it
  local_->ring();
  changed_.notify_all();
}

// ------------------------------------------------------------------------------------------------- in the background

void Engine::wake_background() {
  if (!options_.background) return;
  if (!background_.joinable()) {
    try {
      background_ = std::jthread([this](const std::stop_token& stop) { drive_in_background(stop); });
    } catch (const std::system_error&) {
      options_.background = false;  // no thread to be had: callbacks come when somebody waits
    }
  } else if (background_sleeps_) {
    background_work_.notify_one();
  }
}

void Engine::drive_in_background(const std::stop_token& stop) {
  Lock lock(mutex_);
  auto last_call = Clock::now();
  while (!stop.stop_requested()) {
    const auto now = Clock::now();
    if (handles_ != 0) last_call = now;
    if (now - last_call > background_patience) {
      background_sleeps_ = true;
      background_work_.wait(lock, stop, [this] { return handles_ != 0; });
      background_sleeps_ = false;
      continue;
    }
    const std::uint64_t drives = drives_;
    background_work_.wait_for(lock, stop, grace, [] { return false; });
    if (drives_ != drives) continue;
    // Who comes to wait takes over.
    while ((handles_ != 0 || !ended_.empty()) && waiting_ == 0 && !is_driven() && !stop.stop_requested()) {
      try {
        drive(lock, [&] { step(lock, std::nullopt); });
      } catch (const std::exception& error) {
        break_pool(std::string("the pool can't go on: ") + error.what());
        drive(lock, [] {});  // tells the handles
      }
    }
  }
}

void Engine::stop_background() {
  std::jthread stopping;  // joins when it is left
  const Lock lock(mutex_);
  if (background_.get_id() == std::this_thread::get_id()) return;
  stopping = std::move(background_);
  stopping.request_stop();
  local_->ring();
}

}  // namespace rankpool::master
