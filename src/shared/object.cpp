#include "shared/object.hpp"

#include <sched.h>

#include <bit>
#include <new>
#include <utility>

#include "support/spin.hpp"

namespace rankpool::shared {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::uint32_t bits = 64;

// What comes within this is worth more than the sleep and wake-up it saves.
constexpr auto spin_time = 50us;

constexpr std::uint64_t bit_of(ParticipantId id) { return std::uint64_t{1} << (id % bits); }

/// Needs no section for one that has been let in, whom nobody counts any more. In this order: a bit whose participant
/// waits for nothing, or for another object, means nobody.
void leave_queue(Space& space, Object& object, ParticipantId id) {
  space.participant(id).waits_for.store(0, std::memory_order_seq_cst);
  object.waiters()[id / bits].fetch_and(~bit_of(id), std::memory_order_seq_cst);
}

}  // namespace

void Space::create(std::byte* table, std::uint32_t participants) {
  new (table) Header{participants};
  for (std::uint32_t i = 1; i <= participants; ++i) new (table + i * sizeof(Participant)) Participant;
}

Space::Space(std::span<std::byte> memory, std::uint64_t table, IsGone is_gone)
    : base_(memory.data()),
      size_(memory.size()),
      table_(reinterpret_cast<Participant*>(base_ + table)),
      participants_(reinterpret_cast<const Header*>(base_ + table)->participants),
      is_gone_(std::move(is_gone)) {}

Object& Space::make(std::uint64_t offset, std::uint64_t id, Kind kind) {
  auto* object = new (base_ + offset) Object;
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
    if (space_.is_gone(holder)) {
      before = holder;
    } else {
      sched_yield();
    }
  }
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
    space_.participant(id).ring();
  });
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

Waited wait(Space& space, Object& object, ParticipantId me, Deadline deadline) {
  const Waited waited = wait_for_turn(space, object, me, deadline);
  if (waited == Waited::admitted) leave_queue(space, object, me);
  return waited;
}

Waited wait_for_turn(Space& space, Object& object, ParticipantId me, Deadline deadline) {
  Participant& mine = space.participant(me);
  const auto spin_until = Clock::now() + spin_time;
  for (;;) {
    const std::uint32_t rings = mine.rings.load(std::memory_order_seq_cst);
    const bool is_rung = support::spin_round([&] { return mine.rings.load(std::memory_order_relaxed) != rings; });
    const auto now = Clock::now();
    const bool late = deadline && now >= *deadline;
    if (!is_rung && now < spin_until && !late) continue;
    {
      Section section(space, object, me);
      if (section.is_admitted()) return Waited::admitted;
      if (late) {
        section.withdraw();
        return Waited::late;
      }
    }
    if (is_rung) continue;
    mine.sleep(rings, deadline ? *deadline - now : std::chrono::nanoseconds::max());
  }
}

}  // namespace rankpool::shared
