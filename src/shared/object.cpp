#include "shared/object.hpp"

#include <sched.h>

#include <bit>
#include <new>
#include <utility>

#include "support/spin.hpp"

namespace rankpool::shared {
namespace {

constexpr std::uint32_t bits = 64;

bool waits_in_vain(const Participant& participant) {
  const std::uint64_t vain = participant.vain.load(std::memory_order_acquire);
  return vain != 0 && vain == participant.waits_for.load(std::memory_order_relaxed) &&
         participant.vain_ticket.load(std::memory_order_relaxed) == participant.ticket.load(std::memory_order_relaxed);
}

constexpr std::uint64_t bit_of(ParticipantId id) { return std::uint64_t{1} << (id % bits); }

}  // namespace

void Space::create(std::byte* table, const Header& header) {
  new (table) Header(header);
  for (std::uint32_t i = 1; i <= header.participants; ++i) new (table + i * sizeof(Participant)) Participant;
}

Space::Space(std::span<std::byte> memory, std::uint64_t table, IsGone is_gone, RingFar ring_far)
    : base_(reinterpret_cast<std::uintptr_t>(memory.data())),
      size_(memory.size()),
      table_(reinterpret_cast<Participant*>(bytes_at(table))),
      participants_(reinterpret_cast<const Header*>(table_)->participants),
      near_(reinterpret_cast<const Header*>(table_)->near),
      is_gone_(std::move(is_gone)),
      ring_far_(std::move(ring_far)) {}

void Space::ring(ParticipantId id) {
  Participant& participant = table_[id];
  if (id <= near_) return participant.ring();
  participant.rings.fetch_add(1, std::memory_order_seq_cst);
  if (ring_far_) ring_far_();
}

Object* Space::find(const detail::SharedHandle& handle) {
  constexpr std::uint64_t alignment = alignof(Object);
  const std::uint64_t offset = handle.place & ~detail::SharedHandle::mark;
  if (handle.id == 0 || offset % alignment != 0 || !contains(offset, Object::bytes(participants_))) return nullptr;
  Object& object = at(offset);
  return object.id.load(std::memory_order_acquire) == handle.id ? &object : nullptr;
}

Object& Space::make(std::uint64_t offset, std::uint64_t id, Kind kind) {
  auto* object = new (bytes_at(offset)) Object;
  for (std::uint32_t word = 0; word <= participants_ / bits; ++word) {
    new (object->waiters() + word) std::atomic<std::uint64_t>(0);
  }
  object->kind = kind;
  object->id.store(id, std::memory_order_release);
  return *object;
}

std::optional<WaitingPlace> Space::place_of(const Object& object, ParticipantId id) {
  const Participant& participant = table_[id];
  const std::uint64_t waits_for = participant.waits_for.load(std::memory_order_acquire);
  const std::uint64_t offset = offset_of(object);
  if (waits_for < offset || waits_for >= offset + groups_of_waiters) return std::nullopt;
  const std::uint64_t ticket = participant.ticket.load(std::memory_order_acquire);
  // One that has been let in leaves without a section, and may have queued up elsewhere since.
  if (participant.waits_for.load(std::memory_order_relaxed) != waits_for) return std::nullopt;
  return WaitingPlace{.group = static_cast<std::uint32_t>(waits_for - offset), .ticket = ticket};
}

void Section::enter() {
  ParticipantId before = nobody;
  while (!try_enter(before)) {
    before = nobody;
    const ParticipantId holder = object_.latch.load(std::memory_order_relaxed);
    if (support::spin_round([this] { return object_.latch.load(std::memory_order_relaxed) == nobody; })) continue;
    if (space_.is_gone(holder, object_)) {
      before = holder;
    } else {
      sched_yield();
    }
  }
  object_.sections.store(object_.sections.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  state_ = object_.state();
  if (before != nobody) clear_up_after(before);
}

/// It may have been about to queue up, or to leave by what it had committed.
void Section::clear_up_after(ParticipantId dead) {
  const auto place = space_.place_of(object_, dead);
  if (place && (place->ticket >= state_.next_ticket || place->ticket == state_.used_ticket)) remove(dead);
}

bool Section::try_enter(ParticipantId instead_of) {
  return object_.latch.compare_exchange_strong(instead_of, me_, std::memory_order_acquire, std::memory_order_relaxed);
}

void Section::commit() {
  const std::uint32_t next = 1 - object_.current.load(std::memory_order_relaxed) % 2;
  const bool admits = object_.state().admitted_below != state_.admitted_below;
  object_.states[next] = state_;
  object_.current.store(next, std::memory_order_release);
  if (uses_admission_) remove(me_);
  if (admits) ring_admitted();
}

template <class Visit>
void Section::for_each_waiter(Visit&& visit) {
  for (std::uint32_t word = 0; word <= space_.participants() / bits; ++word) {
    for (std::uint64_t set = object_.waiters()[word].load(std::memory_order_relaxed); set != 0; set &= set - 1) {
      const ParticipantId id = word * bits + static_cast<std::uint32_t>(std::countr_zero(set));
      if (!space_.is_participant(id)) continue;
      if (const auto place = space_.place_of(object_, id)) visit(id, *place);
    }
  }
}

void Section::enqueue(std::uint32_t group) {
  Participant& mine = space_.participant(me_);
  mine.vain.store(0, std::memory_order_relaxed);  // what was in vain may have been at another object in this place
  mine.ticket.store(state_.next_ticket++, std::memory_order_release);
  mine.waits_for.store(space_.offset_of(object_) + group, std::memory_order_release);
  object_.waiters()[me_ / bits].fetch_or(bit_of(me_), std::memory_order_seq_cst);
}

bool Section::is_admitted() const {
  const auto place = space_.place_of(object_, me_);
  return place && place->ticket < state_.admitted_below[place->group];
}

void Section::remove(ParticipantId id) { leave_queue(space_, object_, id); }

ParticipantId Section::first_waiting(std::uint32_t group) {
  ParticipantId first = nobody;
  std::uint64_t lowest = ~std::uint64_t{0};
  for_each_waiter([&](ParticipantId id, const WaitingPlace& place) {
    if (place.group != group || place.ticket < state_.admitted_below[group] || place.ticket >= lowest) return;
    first = id;
    lowest = place.ticket;
  });
  return first;
}

std::uint64_t Section::count_waiting(std::uint32_t group) {
  std::uint64_t count = 0;
  for_each_waiter([&](ParticipantId, const WaitingPlace& place) {
    if (place.group == group && place.ticket >= state_.admitted_below[group]) ++count;
  });
  return count;
}

void Section::admit(ParticipantId first, std::uint32_t group) {
  state_.admitted_below[group] = space_.participant(first).ticket.load(std::memory_order_relaxed) + 1;
}

void Section::ring_admitted() {
  for_each_waiter([this](ParticipantId id, const WaitingPlace& place) {
    if (place.ticket >= state_.admitted_below[place.group]) return;
    space_.ring(id);
  });
}

void Section::ring_all() {
  for_each_waiter([this](ParticipantId id, const WaitingPlace&) { space_.ring(id); });
}

std::optional<WaitingPlace> Section::remove_dead(ParticipantId dead) {
  const auto place = space_.place_of(object_, dead);
  if (!place) return std::nullopt;  // it may have one at another object
  remove(dead);
  return place->ticket < state_.admitted_below[place->group] ? place : std::nullopt;
}

void Section::use_admission() {
  state_.used_ticket = space_.participant(me_).ticket.load(std::memory_order_relaxed);
  uses_admission_ = true;
}

/// Needs no section for one that has been let in, whom nobody counts any more. In this order: a bit whose participant
/// waits for nothing, or for another object, means nobody.
void leave_queue(Space& space, Object& object, ParticipantId id) {
  space.participant(id).waits_for.store(0, std::memory_order_seq_cst);
  object.waiters()[id / bits].fetch_and(~bit_of(id), std::memory_order_seq_cst);
}

std::optional<Waited> look(Space& space, Object& object, ParticipantId me, bool late) {
  Section section(space, object, me);
  if (section.is_admitted()) return Waited::admitted;
  const bool gone = object.id.load(std::memory_order_relaxed) == 0;
  const bool in_vain = waits_in_vain(space.participant(me));
  if (!gone && !late && !in_vain) return std::nullopt;
  section.withdraw();
  if (gone) return Waited::gone;
  return late ? Waited::late : Waited::in_vain;
}

}  // namespace rankpool::shared
