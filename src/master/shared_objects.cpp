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
#include "support/text.hpp"

namespace rankpool::master {
namespace {

using detail::SharedAnswer;
using detail::SharedHandle;
using detail::SharedKind;
using detail::SharedRequest;
using detail::SharedSpec;
using shared::Operation;

constexpr std::uint32_t most_threads = 256;
constexpr std::uint64_t page = 4096;
constexpr std::uint64_t alignment = 64;

constexpr std::uint64_t round_up(std::uint64_t bytes, std::uint64_t unit) { return (bytes + unit - 1) / unit * unit; }

std::string name_of(SharedKind kind) {
  switch (kind) {
    case SharedKind::cells:
      return "value";
    case SharedKind::lock:
    case SharedKind::recursive_lock:
      return "lock";
    case SharedKind::semaphore:
      return "semaphore";
    case SharedKind::condition:
      return "condition";
    case SharedKind::event:
      return "event";
    case SharedKind::barrier:
      return "barrier";
    case SharedKind::queue:
      return "queue";
  }
  return "object";
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
      host_.memory(), table, [this](ParticipantId id, const shared::Object& in) { return is_gone(id, in); },
      [this] { host_.ring_far(); });
  host_.show_participants(table);
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
    objects_.emplace(block, Made{.kind = spec.kind, .block = block, .id = id, .ring = {}});
  } catch (...) {
    host_.release(block);
    throw;
  }
  fill(space_->make(block, id, spec.kind), spec, bytes);
  any_to_wait_for_ |= spec.kind != SharedKind::cells;
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
  if (next != Operation::Next::done) return false;
  if (operation.reply().answer == SharedAnswer::in_vain) operation.reply().bytes = take_why(operation.me());
  return true;
}

std::vector<std::byte> SharedObjects::take_why(ParticipantId id) {
  const std::string why = std::exchange(why_in_vain_[id], {});
  why_in_vain_.erase(id);
  return support::bytes_of(why);
}

std::vector<DeadlockWatch::Wait> SharedObjects::waits() {
  std::vector<DeadlockWatch::Wait> all;
  for (ParticipantId id = 1; id <= participants_; ++id) {
    const shared::Participant& participant = space_->participant(id);
    const std::uint64_t place = participant.waits_for.load(std::memory_order_acquire);
    if (place == 0 || participant.for_ever.load(std::memory_order_relaxed) == 0) continue;
    const auto made = objects_.find(place - place % alignment);
    if (made == objects_.end()) continue;
    const shared::Object& object = space_->at(made->first);
    const auto waiting = space_->place_of(object, id);
    if (!waiting || waiting->ticket < object.state().admitted_below[waiting->group]) continue;
    all.push_back({.who = id,
                   .task = participant.task.load(std::memory_order_relaxed),
                   .rank = participant.rank.load(std::memory_order_relaxed),
                   .place = place,
                   .ticket = waiting->ticket,
                   .object = name_of(made->second.kind) + " " + std::to_string(made->second.id & ~SharedHandle::mark),
                   .holder = shared::holder_of(object)});
  }
  return all;
}

void SharedObjects::refuse(const std::vector<DeadlockWatch::Wait>& in_vain, const std::string& why) {
  for (const DeadlockWatch::Wait& wait : in_vain) {
    shared::Participant& participant = space_->participant(wait.who);
    why_in_vain_[wait.who] = why;
    participant.vain_ticket.store(wait.ticket, std::memory_order_relaxed);
    participant.vain.store(wait.place, std::memory_order_seq_cst);
    space_->ring(wait.who);
  }
}

std::optional<std::pair<SharedObjects::HostId, std::uint32_t>> SharedObjects::executor_of(ParticipantId id) const {
  for (HostId host = 0; host < first_of_host_.size(); ++host) {
    const ParticipantId first = first_of_host_[host];
    if (id >= first && id - first < slots_[host]) return std::pair(host, id - first);
  }
  return std::nullopt;
}

std::optional<std::string> SharedObjects::make_room(const SharedHandle& queue, std::uint64_t item) {
  using shared::QueueSection;
  if (!has(queue)) return "the queue is gone";
  Made& made = objects_.at(queue.place & ~SharedHandle::mark);
  if (made.kind != SharedKind::queue) return "it is no queue";
  shared::Object* object = &space_->at(made.block);
  const ParticipantId me = master();
  const std::uint64_t capacity = QueueSection(*space_, *object, me).capacity();
  const std::uint64_t used = QueueSection(*space_, *object, me).used();
  const std::uint64_t room = QueueSection::room_for(item);
  if (capacity >= used && capacity - used >= room) return std::nullopt;
  try {
    const std::uint64_t larger = round_up(std::max(2 * capacity, used + room), page);
    const std::uint64_t ring = host_.allocate(larger);
    const std::uint64_t unused = QueueSection(*space_, *object, me).move_to(ring, larger);
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

}  // namespace rankpool::master
