#include "shared/signals.hpp"

namespace rankpool::shared {

void ConditionSection::wait() {
  section_.enqueue();
  section_.commit();
}

void ConditionSection::notify(std::uint64_t count) {
  for (; count != 0; --count) {
    const ParticipantId next = section_.first_waiting();
    if (next == nobody) break;
    section_.admit(next);
  }
  section_.commit();
}

void ConditionSection::notify_all() {
  section_.admit_all();
  section_.commit();
}

void ConditionSection::bury(ParticipantId dead) {
  static_cast<void>(section_.remove_dead(dead));
  notify_all();
  section_.ring_admitted();  // the dead may have let in whom it had not rung yet
}

void EventSection::set() {
  section_.field(set_field) = 1;
  section_.admit_all();
  section_.commit();
}

void EventSection::clear() {
  section_.field(set_field) = 0;
  section_.commit();
}

bool EventSection::wait() {
  if (is_set()) return true;
  section_.enqueue();
  section_.commit();
  return false;
}

void EventSection::bury(ParticipantId dead) {
  static_cast<void>(section_.remove_dead(dead));
  section_.ring_admitted();
}

void BarrierSection::set(std::uint64_t parties) {
  section_.field(parties_field) = parties;
  section_.commit();
}

bool BarrierSection::arrive() {
  const bool last = arrived() + 1 >= parties();
  if (last) {
    section_.admit_all();
  } else {
    section_.enqueue();
  }
  section_.commit();
  return last;
}

void BarrierSection::bury(ParticipantId dead) {
  static_cast<void>(section_.remove_dead(dead));
  section_.ring_admitted();
}

}  // namespace rankpool::shared
