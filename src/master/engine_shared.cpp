// Shared objects, as the master's own threads use them and as the hosts report what executors want of them.
#include <algorithm>
#include <cstddef>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <rankpool/errors.hpp>

#include "host/slots.hpp"
#include "master/engine.hpp"
#include "shared/cells.hpp"
#include "support/text.hpp"
#include "support/threads.hpp"
#include "wire/messages.hpp"

namespace rankpool::master {
namespace {

using namespace std::chrono_literals;
using shared::Operation;
using shared::ParticipantId;

// Tasks that run inline have the place of the one executor that there would be, whichever thread runs them.
constexpr ParticipantId inline_executor = 1;

// So long one who waits beside it sleeps at a time: not everybody who lets it go on wakes it.
constexpr std::chrono::nanoseconds inline_sleep = 1ms;

}  // namespace

/// The places that this thread has among those who use shared objects, in each pool one for itself and one more for
/// each wait that it is in: while it waits it drives, and what it runs then, a callback or a task that runs inline,
/// must not take its place in the queue.
struct Engine::Place {
  std::weak_ptr<Engine> pool;
  std::vector<ParticipantId> ids = {};  ///< by depth
  std::size_t depth = 0;                ///< waits that the thread is in
};

class Engine::Places {
 public:
  Places() = default;
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;
  ~Places() {
    for (const Place& place : places_) {
      const std::shared_ptr<Engine> engine = place.pool.lock();
      if (engine == nullptr || !engine->home_.is_here()) continue;
      const Lock lock(engine->seat_.mutex());
      for (const ParticipantId id : place.ids) engine->objects_.dismiss_thread(id);
    }
  }

  Place& in(Engine& engine) {
    const std::weak_ptr<Engine> pool = std::static_pointer_cast<Engine>(engine.shared_from_this());
    const auto same = [&pool](const Place& place) {
      return !place.pool.owner_before(pool) && !pool.owner_before(place.pool);
    };
    if (const auto known = std::ranges::find_if(places_, same); known != places_.end()) return *known;
    places_.remove_if([](const Place& place) { return place.pool.expired(); });
    return places_.emplace_back(Place{.pool = pool});
  }

 private:
  std::list<Place> places_;
};

/// As long as it lives, a thread waits in it.
class Engine::Wait {
 public:
  Wait(Engine& engine, Place& place) : engine_(engine), place_(place) { ++engine_.waits_, ++place_.depth; }
  Wait(const Wait&) = delete;
  Wait& operator=(const Wait&) = delete;
  ~Wait() { --engine_.waits_, --place_.depth; }

 private:
  Engine& engine_;
  Place& place_;
};

SharedObjects Engine::make_objects() {
  std::vector<std::uint32_t> slots{host::slots_for(static_cast<std::uint32_t>(processes_))};
  for (const RemoteNode& node : remote_) slots.push_back(host::slots_for(node.executors));
  return {*local_, options_.pool, slots,
          [this](scheduler::HostId host, std::uint32_t slot, std::uint64_t number, detail::Bytes bytes) {
            send_answer(host, slot, number, bytes);
          }};
}

detail::SharedHandle Engine::make_object(const detail::SharedSpec& spec) {
  home_.require("making a shared object");
  check_nonblocking();
  const Lock lock(seat_.mutex());
  check_running();
  return objects_.make(spec);
}

void Engine::destroy(const detail::SharedHandle& object) {
  detail::refuse_inside_task("destroy()");
  home_.require("destroy()");
  check_nonblocking();
  const Lock lock(seat_.mutex());
  if (!objects_.destroy(object)) throw std::logic_error("rankpool: destroy(): the object is gone already");
  release_destroyed();
  seat_.wake_satisfied();
}

/// A task, or a thread that waits, may still look at what was destroyed.
void Engine::release_destroyed() {
  if (calls_.empty() && waits_ == 0) objects_.release_destroyed();
}

detail::SharedReply Engine::perform(const detail::SharedRequest& request) {
  home_.require("a shared object");
  if (!objects_.any()) return {.answer = detail::SharedAnswer::gone};
  // Words are atomics: nobody need wait for the driver.
  if (shared::Object* object = objects_.find_unlocked(request.object);
      object != nullptr && object->kind == shared::Kind::cells) {
    shared::Cells cells(objects_.space(), *object);
    if (cells.are_words()) return cells.perform(request, shared::nobody);
  }
  check_nonblocking();
  if (request.verb == detail::SharedVerb::wait) check_blocking();  // a condition lets go of its lock first
  Lock lock(seat_.mutex());
  if (!objects_.has_all_of(request)) return {.answer = detail::SharedAnswer::gone};
  static thread_local Places places;
  Place& place = places.in(*this);
  const bool is_inline = task::current_task() != nullptr;
  if (is_inline && held_inline_.any_but_of(task::current_number())) end_inline_task();
  held_inline_.reserve();
  Operation operation(objects_.space(), is_inline ? inline_executor : id_at(place), request);
  if (!objects_.start(operation)) {
    const Wait wait(*this, place);
    await_end(lock, operation);
  }
  if (is_inline) held_inline_.note(request, operation.reply(), task::current_number());
  seat_.wake_satisfied();  // others of this process that it has rung
  return std::move(operation.reply());
}

ParticipantId Engine::id_at(Place& place) {
  while (place.ids.size() <= place.depth) {
    place.ids.reserve(place.depth + 1);
    place.ids.push_back(objects_.admit_thread());
  }
  return place.ids[place.depth];
}

/// As in an executor, a task leaves no lock locked.
void Engine::end_inline_task() {
  while (!held_inline_.empty()) {
    const detail::SharedRequest request{.verb = detail::SharedVerb::give_back, .object = held_inline_.last()};
    if (objects_.has_all_of(request)) {
      Operation operation(objects_.space(), inline_executor, request);
      static_cast<void>(objects_.start(operation));
    }
    held_inline_.remove(request.object);
  }
}

void Engine::await_end(Lock& lock, Operation& operation) {
  const auto& rings = objects_.space().participant(operation.me()).rings;
  const auto look = [&](bool late) {
    return shared::look(objects_.space(), operation.awaited(), operation.me(), late);
  };
  for (;;) {
    const std::uint32_t seen = rings.load();
    const bool late = operation.deadline() && Clock::now() >= *operation.deadline();
    auto waited = look(late);
    if (!waited) {
      try {
        await_ring(lock, operation, seen);
        continue;
      } catch (...) {
        if (!lock.owns_lock()) lock.lock();
        waited = look(true);
        if (waited != shared::Waited::admitted) throw;
      }
    }
    if (objects_.go_on(operation, *waited)) return;
  }
}

void Engine::await_ring(Lock& lock, const Operation& operation, std::uint32_t seen) {
  if (state_ == PoolState::broken) throw BrokenPool(broken_);
  if (ending_ == Ending::at_once) check_job_goes_on();
  if (nobody_comes()) throw PoolClosed();
  check_blocking();
  // While it waits for a lock, that might be handed over to this thread, and a task that it runs would wait for it.
  const bool waits_for_lock =
      operation.awaited().kind == shared::Kind::lock || operation.awaited().kind == shared::Kind::recursive_lock;
  if (runs_inline_here() || (local_->runs_inline() && waits_for_lock)) return sleep_beside(lock, operation, seen);
  const auto& rings = objects_.space().participant(operation.me()).rings;
  const auto is_rung = [&] { return rings.load() != seen || nobody_comes(); };
  drive_until(lock, is_rung, operation.deadline());
}

/// Whether no task will do anything any more.
bool Engine::nobody_comes() const {
  return state_ == PoolState::broken || state_ == PoolState::terminated || hosts_stopped_ || ending_ == Ending::at_once;
}

/// Waits beside who drives, or in a task that who drives runs.
void Engine::sleep_beside(Lock& lock, const Operation& operation, std::uint32_t seen) {
  // A task that runs inline keeps who drives from looking at its own deadline.
  const bool is_counted = runs_inline_here() && driver_is_counted_;
  const CountedWait counted(*this, !operation.deadline() && !is_counted);
  look_for_deadlocks();
  seat_.wake_satisfied();
  lock.unlock();
  objects_.space().participant(operation.me()).sleep(seen, inline_sleep);
  lock.lock();
}

// Who asks often asks again when it has the answer.
void Engine::question(scheduler::HostId host, const host::Question& question) {
  if (transport_) backoff_.expect_reply();
  objects_.ask(host, question);
}

void Engine::send_answer(scheduler::HostId host, std::uint32_t slot, std::uint64_t number, detail::Bytes bytes) {
  if (host == local_host) return local_->answer(slot, number, bytes);
  if (!hosts_.is_lost(host))
    outbox_->add(leader_of(host), wire::Answer{.slot = slot, .number = number, .bytes = bytes});
}

// Who waits in vain is told so, and who holds what it waits for.
void Engine::look_for_deadlocks() {
  if (!objects_.any_to_wait_for() || !deadlocks_.is_due()) return;
  const std::vector<DeadlockWatch::Wait> waits = objects_.waits();
  const bool no_task = no_task_goes_on(waits);
  const bool nobody = no_task && every_thread_waits();
  const std::vector<DeadlockWatch::Wait> in_vain =
      deadlocks_.look(waits, nobody ? std::optional(deeds_) : std::nullopt);
  if (no_task && !nobody) remind_of(waits);
  if (in_vain.empty()) return;
  std::string why = "this would wait for ever: " +
                    DeadlockWatch::describe(in_vain, [this](const auto& wait) { return name_of(wait); });
  why += nobody ? what_cannot_begin(waits) + "; nobody is left who could let them go on"
                : "; lock in the same order everywhere, or with std::scoped_lock(a, b)";
  objects_.refuse(in_vain, why);
  seat_.wake_satisfied();
}

/// Where only threads that the pool knows nothing of may do something yet, and don't for long, it may be a deadlock.
void Engine::remind_of(const std::vector<DeadlockWatch::Wait>& waits) {
  constexpr auto patience = 10s;
  const auto now = Clock::now();
  if (stall_.deeds != deeds_) stall_ = {.deeds = deeds_, .since = now};
  if (stall_.told || now - stall_.since < patience) return;
  stall_.told = true;
  warn("all tasks have been waiting for shared objects for 10 s: " +
       DeadlockWatch::describe(waits, [this](const auto& wait) { return name_of(wait); }) +
       ". Unless another thread of the program lets them go on, this is a deadlock.");
}

std::string Engine::what_cannot_begin(const std::vector<DeadlockWatch::Wait>& waits) const {
  if (runs_inline_here()) return "; with RANKPOOL_INLINE=1 one task runs at a time";
  std::uint64_t tasks = 0;
  for (const auto& [id, call] : calls_) tasks += call.tasks - call.settled;
  std::string why;
  for (scheduler::HostId host = 0; host < hosts_.size(); ++host) {
    if (why.empty()) why = hosts_.blocked(host).why;
  }
  const auto begun = static_cast<std::uint64_t>(
      std::ranges::count_if(waits, [this](const auto& wait) { return objects_.executor_of(wait.who).has_value(); }));
  if (tasks <= begun) return {};
  const std::string limit = "the pool starts up to " + std::to_string(host::most_for_one) +
                            " executors for each one that it has (PoolOptions::processes), and all of them wait";
  return "; " + support::in_words(tasks - begun, "task") +
         " more can't begin: " + (why.empty() ? limit : "another executor can't be started, " + why);
}

/// Whether all tasks that run wait for shared objects, and no other can be started. What hosts have not reported yet
/// makes more tasks run than wait.
bool Engine::no_task_goes_on(const std::vector<DeadlockWatch::Wait>& waits) const {
  if (waits.empty() || !ended_.empty() || callbacks_ != 0 || seat_.is_anyone_called()) return false;
  if (!deadlines_.empty() && !runs_inline_here()) return false;  // inline nobody looks at them meanwhile
  std::vector<std::uint64_t> running(hosts_.size());
  std::vector<std::uint64_t> waiting(hosts_.size());
  for (const auto& [id, lot] : lots_) running[lot.host] += lot.outstanding;
  for (const DeadlockWatch::Wait& wait : waits) {
    if (const auto executor = objects_.executor_of(wait.who)) ++waiting[executor->first];
  }
  const bool any_pending =
      std::ranges::any_of(calls_, [this](const auto& call) { return scheduler_.pending_tasks(call.first) != 0; });
  bool any_room = false;
  bool any_queued = false;
  for (scheduler::HostId host = 0; host < hosts_.size(); ++host) {
    if (host == local_host && runs_inline_here()) continue;  // no other task runs beside this one
    // It may have reported what is over by now: one that waited then has had its answer.
    const host::Blocked& blocked = hosts_.blocked(host);
    const bool is_full = hosts_.slots(host) == 0 || (blocked.all && waiting[host] >= blocked.executors);
    if (!is_full && (any_pending || waiting[host] != running[host] || any_limited_task(host))) return false;
    any_room |= !is_full;
    any_queued |= waiting[host] != running[host];
  }
  // What can't begin on one node is asked back, to begin on another.
  return !(any_room && any_queued);
}

/// Whether the host will end one of its tasks.
bool Engine::any_limited_task(scheduler::HostId host) const {
  return std::ranges::any_of(lots_, [&](const auto& lot) {
    if (lot.second.host != host) return false;
    const auto call = calls_.find(lot.second.call);
    return call != calls_.end() && call->second.image.task_timeout.count() != 0;
  });
}

/// Threads that the program has started may do something yet, though they have not used the pool so far.
bool Engine::every_thread_waits() const {
  const auto threads = support::threads_of_this_process();
  const std::ptrdiff_t others =
      options_.foreign_threads + (background_.is_there() ? 1 : 0) + journal::Journal::threads();
  return threads && *threads <= std::ptrdiff_t{waiting_threads_} + others;
}

std::string Engine::name_of(const DeadlockWatch::Wait& wait) const {
  const auto executor = objects_.executor_of(wait.who);
  if (!executor) return "a thread of the master";
  const std::string who = wait.task == 0 ? "an executor" : "task " + std::to_string(wait.task - 1);
  const std::string rank = wait.rank < 0 ? "" : "rank " + std::to_string(wait.rank) + ", ";
  return who + " (" + rank + "host " + host_name(leader_of(executor->first)) + ", slot " +
         std::to_string(executor->second) + ")";
}

}  // namespace rankpool::master
