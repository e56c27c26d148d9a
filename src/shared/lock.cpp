#include "shared/lock.hpp"

namespace rankpool::shared {

bool LockSection::try_acquire(bool recursive) {
  const ParticipantId me = section_.me();
  if (owner() == me && recursive) {
    ++section_.field(depth_field);
  } else if (owner() == nobody && section_.first_waiting() == nobody) {
    section_.field(owner_field) = me;
    section_.field(depth_field) = 1;
  } else {
    return false;
  }
  section_.commit();
  return true;
}

Acquired LockSection::acquire(bool recursive) {
  if (try_acquire(recursive)) return Acquired::now;
  if (owner() == section_.me()) return Acquired::mine_already;
  queue_up();
  return Acquired::waits;
}

void LockSection::queue_up() {
  section_.enqueue();
  section_.commit();
}

bool LockSection::release() {
  if (owner() != section_.me()) return false;
  if (--section_.field(depth_field) == 0) hand_over();
  section_.commit();
  return true;
}

std::uint64_t LockSection::release_fully() {
  if (owner() != section_.me()) return 0;
  const std::uint64_t depth = section_.field(depth_field);
  hand_over();
  section_.commit();
  return depth;
}

void LockSection::set_depth(std::uint64_t depth) {
  section_.field(depth_field) = depth;
  section_.commit();
}

bool LockSection::abandon() {
  if (owner() != section_.me()) return false;
  section_.field(died_field) = 1;
  hand_over();
  section_.commit();
  return true;
}

void LockSection::hand_over() {
  const ParticipantId next = section_.first_waiting();
  section_.field(owner_field) = next;
  section_.field(depth_field) = next == nobody ? 0 : 1;
  if (next != nobody) section_.admit(next);
}

// One that was handed the lock while it waited, and had not gone on, has touched nothing.
void LockSection::bury(ParticipantId dead) {
  const bool had_gone_on = !section_.remove_dead(dead);
  if (owner() == dead) {
    if (had_gone_on) section_.field(died_field) = 1;
    hand_over();
    section_.commit();
  }
  section_.ring_admitted();
}

void LockSection::mark_consistent() {
  section_.field(died_field) = 0;
  section_.commit();
}

ParticipantId holder_of(const Object& object) {
  if (object.kind != Kind::lock && object.kind != Kind::recursive_lock) return nobody;
  return static_cast<ParticipantId>(object.state().fields[LockSection::owner_field]);
}

}  // namespace rankpool::shared
