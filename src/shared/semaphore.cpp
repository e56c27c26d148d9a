#include "shared/semaphore.hpp"

namespace rankpool::shared {

void SemaphoreSection::set(std::uint64_t permits) {
  section_.field(permits_field) = permits;
  section_.commit();
}

bool SemaphoreSection::try_acquire() {
  if (permits() == 0 || section_.first_waiting() != nobody) return false;
  --section_.field(permits_field);
  section_.commit();
  return true;
}

bool SemaphoreSection::acquire() {
  if (try_acquire()) return true;
  section_.enqueue();
  section_.commit();
  return false;
}

bool SemaphoreSection::release(std::uint64_t permits) {
  if (permits > ~std::uint64_t{0} - this->permits()) return false;
  section_.field(permits_field) += permits;
  hand_out();
  section_.commit();
  return true;
}

void SemaphoreSection::hand_out() {
  while (permits() != 0) {
    const ParticipantId next = section_.first_waiting();
    if (next == nobody) return;
    --section_.field(permits_field);
    section_.admit(next);
  }
}

void SemaphoreSection::bury(ParticipantId dead) {
  if (section_.remove_dead(dead)) release(1);
  section_.ring_admitted();
}

}  // namespace rankpool::shared
