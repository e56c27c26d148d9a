#include "master/shared_objects.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "shared/cells.hpp"
#include "shared/lock.hpp"
#include "shared/message.hpp"
#include "shared/queue.hpp"
#include "shared/semaphore.hpp"
#include "shared/signals.hpp"

namespace rankpool::master {
namespace {

using detail::SharedAnswer;
using detail::SharedHandle;
using detail::SharedKind;
using detail::SharedReply;
using detail::SharedRequest;
using detail::SharedSpec;
using detail::SharedVerb;
using shared::Operation;

constexpr std::uint32_t most_threads = 256;
constexpr std::uint64_t page = 4096;
constexpr std::uint64_t alignment = 64;

constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t unit) { return (bytes + unit - 1) / unit * unit; }

SharedReply failure(std::string_view why) {
  const auto text = std::as_bytes(std::span(why));
  return {.answer = SharedAnswer::failed, .bytes = {text.begin(), text.end()}};
}

/// Of what follows an object's header.
std::uint64_t data_bytes(const SharedSpec& spec) {
  if (spec.kind != SharedKind::cells) return 0;
  const std::uint64_t size = spec.element_bytes;
  constexpr std::uint64_t most = std::uint64_t{1} << 62U;
  if (size == 0 || spec.number > most / size) {
    throw std::system_error(
        ENOMEM, std::generic_category(),
        "rankpool: an array of " + std::to_string(spec.number) + " elements of " + std::to_string(size) + " bytes");
  }
  return round_up(spec.number * size, alignment) + size;
}

}  // namespace

SharedObjects::Asked::Asked(HostId from, const host::Question& question, shared::Space& space, ParticipantId me,
                            const SharedRequest& asked)
    : host(from),
      slot(question.slot),
      number(question.number),
      payload(asked.payload.begin(), asked.payload.end()),
      request(asked),
      operation(space, me, request) {
  request.payload = payload;
}

SharedObjects::SharedObjects(host::Host& host, std::uint64_t pool, std::span<const std::uint32_t> slots, Answer answer)
    : host_(host), pool_(pool), slots_(slots.begin(), slots.end()), near_(slots.front()), answer_(std::move(answer)) {
  // This node's executors, the master itself, its threads, the other nodes' executors.
  ParticipantId next = master() + most_threads + 1;
  first_of_host_.push_back(1);
  for (const std::uint32_t others : slots.subspan(1)) {
    first_of_host_.push_back(next);
    next += others;
  }
  participants_ = next - 1;
  for (std::uint32_t i = most_threads; i != 0; --i) free_threads_.push_back(master() + i);
}

void SharedObjects::make_table() {
  const std::uint64_t table = host_.allocate(shared::Space::bytes(participants_));
  shared::Space::create(host_.at(table), {.participants = participants_, .near = near_});
  space_.emplace(
      host_.memory(), table, [this](ParticipantId id) { return is_gone(id); }, [this] { host_.ring_far(); });
  host_.show_participants(table);
}

/// Others than the near ones enter sections under the engine's mutex, as who asks here does: it is not one of them.
bool SharedObjects::is_gone(ParticipantId id) {
  if (id > near_ || host_.executor_is_gone(id - 1)) return true;
  // One that is stopped there, or has been written there by a stray task, would hold up everybody.
  constexpr auto patience = std::chrono::seconds(1);
  constexpr auto same_look = std::chrono::milliseconds(100);
  const auto now = Clock::now();
  if (suspect_.id != id || now - suspect_.seen > same_look) suspect_ = {.id = id, .since = now};
  suspect_.seen = now;
  if (now - suspect_.since > patience) host_.distrust_executor(id - 1);
  return false;
}

bool SharedObjects::has(const SharedHandle& handle) const {
  const auto made = objects_.find(handle.place & ~SharedHandle::mark);
  return handle.pool == pool_ && made != objects_.end() && made->second.id == handle.id;
}

bool SharedObjects::has_all_of(const SharedRequest& request) const {
  return has(request.object) && (request.lock == SharedHandle{} || has(request.lock));
}

shared::Object* SharedObjects::find_unlocked(const SharedHandle& handle) {
  return host_.runs_inline() ? nullptr : space_->find(handle);
}

SharedHandle SharedObjects::make(const SharedSpec& spec) {
  if (!space_) make_table();
  const std::uint64_t header = round_up(shared::Object::bytes(participants_), alignment);
  // A queue has the rest of the page for its first items.
  const std::uint64_t bytes = round_up(header + data_bytes(spec), page);
  const std::uint64_t block = host_.allocate(bytes);
  const std::uint64_t id = SharedHandle::mark | ++last_id_;
  try {
    objects_.emplace(block, Made{.block = block, .id = id, .ring = {}});
  } catch (...) {
    host_.release(block);
    throw;
  }
  fill(space_->make(block, id, spec.kind), spec, bytes);
  return {.pool = pool_, .place = SharedHandle::mark | block, .id = id};
}

void SharedObjects::fill(shared::Object& object, const SharedSpec& spec, std::uint64_t bytes) {
  const ParticipantId me = master();
  const std::uint64_t data = round_up(space_->offset_of(object) + shared::Object::bytes(participants_), alignment);
  switch (spec.kind) {
    case SharedKind::cells: {
      for (std::uint64_t i = 0; i < spec.number; ++i) {
        std::memcpy(space_->bytes_at(data + i * spec.element_bytes), spec.first.data(), spec.element_bytes);
      }
      const std::uint64_t beside = data + round_up(spec.number * spec.element_bytes, alignment);
      return shared::Cells::set(
          *space_, object, me,
          {.data = data, .count = spec.number, .element_bytes = spec.element_bytes, .beside = beside});
    }
    case SharedKind::semaphore:
      return shared::SemaphoreSection(*space_, object, me).set(spec.number);
    case SharedKind::barrier:
      return shared::BarrierSection(*space_, object, me).set(spec.number);
    case SharedKind::queue:
      return shared::QueueSection(*space_, object, me).set(data, space_->offset_of(object) + bytes - data, spec.number);
    case SharedKind::lock:
    case SharedKind::recursive_lock:
    case SharedKind::condition:
    case SharedKind::event:
      return;
  }
}

bool SharedObjects::destroy(const SharedHandle& handle) {
  if (!has(handle)) return false;
  const auto made = objects_.find(handle.place & ~SharedHandle::mark);
  destroyed_.push_back(made->second);
  objects_.erase(made);
  shared::Object& object = space_->at(destroyed_.back().block);
  object.id.store(0, std::memory_order_seq_cst);
  shared::Section(*space_, object, master()).ring_all();
  return true;
}

void SharedObjects::release_destroyed() {
  if (!waiting_.empty()) return;
  for (const Made& made : destroyed_) release(made);
  destroyed_.clear();
}

void SharedObjects::release(const Made& made) {
  host_.release(made.block);
  if (made.ring) host_.release(*made.ring);
}

SharedObjects::ParticipantId SharedObjects::admit_thread() {
  if (free_threads_.empty()) {
    throw std::runtime_error("rankpool: more than " + std::to_string(most_threads) +
                             " threads of the master use shared objects at a time");
  }
  const ParticipantId id = free_threads_.back();
  free_threads_.pop_back();
  return id;
}

void SharedObjects::dismiss_thread(ParticipantId id) {
  bury(id);
  free_threads_.push_back(id);
}

bool SharedObjects::has_ended(Operation& operation, Operation::Next next) {
  while (next == Operation::Next::make_room) {
    const SharedRequest& request = operation.request();
    const auto problem = make_room(request.object, request.payload.size());
    next = problem ? operation.go_without_room(*problem) : operation.try_again();
  }
  return next == Operation::Next::done;
}

std::optional<std::string> SharedObjects::make_room(const SharedHandle& queue, std::uint64_t item) {
  using shared::QueueSection;
  shared::Object* object = has(queue) ? &space_->at(queue.place & ~SharedHandle::mark) : nullptr;
  if (object == nullptr || object->kind != SharedKind::queue) return "the queue is gone";
  const ParticipantId me = master();
  const std::uint64_t capacity = QueueSection(*space_, *object, me).capacity();
  const std::uint64_t used = QueueSection(*space_, *object, me).used();
  const std::uint64_t room = QueueSection::room_for(item);
  if (capacity >= used && capacity - used >= room) return std::nullopt;
  try {
    const std::uint64_t larger = round_up(std::max(2 * capacity, used + room), page);
    const std::uint64_t ring = host_.allocate(larger);
    const std::uint64_t unused = QueueSection(*space_, *object, me).move_to(ring, larger);
    Made& made = objects_.at(space_->offset_of(*object));
    if (unused == ring) {
      host_.release(ring);
    } else if (const Block before = std::exchange(made.ring, ring)) {
      host_.release(*before);
    }
    return std::nullopt;
  } catch (const std::exception& error) {
    return "no memory for an item of " + std::to_string(item) + " bytes: " + error.what();
  }
}

SharedObjects::ParticipantId SharedObjects::executor(HostId host, std::uint32_t slot) const {
  if (host >= first_of_host_.size() || slot >= slots_[host]) return shared::nobody;
  return first_of_host_[host] + slot;
}

void SharedObjects::ask(HostId host, const host::Question& question) {
  const auto reply_with = [&](const SharedReply& reply) {
    answer_(host, question.slot, question.number, shared::encode(reply));
  };
  const ParticipantId me = executor(host, question.slot);
  const auto request = shared::decode_request(question.bytes);
  if (!request || me == shared::nobody) return reply_with({.answer = SharedAnswer::wrong_kind});
  if (!space_ || !has_all_of(*request)) return reply_with({.answer = SharedAnswer::gone});
  if (request->verb == SharedVerb::make_room) {
    const auto problem = make_room(request->object, request->words[0]);
    return reply_with(problem ? failure(*problem) : SharedReply{});
  }
  try {
    const auto asked = waiting_.emplace(waiting_.end(), host, question, *space_, me, *request);
    if (take_step(*asked, [this](Operation& operation) { return start(operation); })) waiting_.erase(asked);
  } catch (const std::bad_alloc& error) {  // for its payload; a step's own is answered there
    reply_with(failure(error.what()));
  }
}

/// @returns whether that was the last step, and it is answered. What it throws, for want of memory say, is the answer.
template <class Step>
bool SharedObjects::take_step(Asked& asked, const Step& step) {
  try {
    if (!step(asked.operation)) return false;
    answer(asked, asked.operation.reply());
  } catch (const std::exception& error) {
    answer(asked, failure(error.what()));
  }
  return true;
}

void SharedObjects::answer(const Asked& asked, const SharedReply& reply) {
  answer_(asked.host, asked.slot, asked.number, shared::encode(reply));
}

void SharedObjects::look_at_waiting() {
  const auto now = std::chrono::steady_clock::now();
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    const auto asked = next++;
    Operation& operation = asked->operation;
    const bool late = operation.deadline() && now >= *operation.deadline();
    const auto waited = shared::look(*space_, operation.awaited(), operation.me(), late);
    if (!waited) continue;
    if (take_step(*asked, [&](Operation& step) { return go_on(step, *waited); })) waiting_.erase(asked);
  }
}

void SharedObjects::end_late_waits() {
  const auto deadline = next_deadline();
  if (deadline && std::chrono::steady_clock::now() >= *deadline) look_at_waiting();
}

std::optional<std::chrono::steady_clock::time_point> SharedObjects::next_deadline() const {
  std::optional<std::chrono::steady_clock::time_point> next;
  for (const Asked& asked : waiting_) {
    const shared::Deadline& deadline = asked.operation.deadline();
    if (deadline && (!next || *deadline < *next)) next = deadline;
  }
  return next;
}

void SharedObjects::bury_executor(HostId host, std::uint32_t slot) {
  if (!space_ || executor(host, slot) == shared::nobody) return;
  waiting_.remove_if([&](const Asked& asked) { return asked.host == host && asked.slot == slot; });
  bury(executor(host, slot));
  look_at_waiting();
}

// What is handed on to one that is lost, too, is taken back when that is buried.
void SharedObjects::lose_host(HostId host) {
  if (!space_) return;
  waiting_.remove_if([&](const Asked& asked) { return asked.host == host; });
  for (std::uint32_t slot = 0; slot < slots_[host]; ++slot) bury(executor(host, slot));
  look_at_waiting();
}

void SharedObjects::bury(ParticipantId dead) {
  for (const auto& [offset, made] : objects_) bury(space_->at(offset), dead);
  for (const Made& made : destroyed_)
    static_cast<void>(shared::Section(*space_, space_->at(made.block), master()).remove_dead(dead));
  space_->participant(dead).waits_for.store(0, std::memory_order_seq_cst);
}

void SharedObjects::bury(shared::Object& object, ParticipantId dead) {
  const ParticipantId me = master();
  switch (object.kind) {
    case SharedKind::cells:
      return static_cast<void>(shared::Section(*space_, object, me));  // so that it is in none any more
    case SharedKind::lock:
    case SharedKind::recursive_lock:
      return shared::LockSection(*space_, object, me).bury(dead);
    case SharedKind::semaphore:
      return shared::SemaphoreSection(*space_, object, me).bury(dead);
    case SharedKind::condition:
      return shared::ConditionSection(*space_, object, me).bury(dead);
    case SharedKind::event:
      return shared::EventSection(*space_, object, me).bury(dead);
    case SharedKind::barrier:
      return shared::BarrierSection(*space_, object, me).bury(dead);
    case SharedKind::queue:
      return shared::QueueSection(*space_, object, me).bury(dead);
  }
}

}  // namespace rankpool::master
