// Semaphores: a permit is handed to the one who has waited longest.
#pragma once

#include "shared/object.hpp"

namespace rankpool::shared {

class SemaphoreSection {
 public:
  SemaphoreSection(Space& space, Object& object, ParticipantId me) : section_(space, object, me) {}

  /// Gives a new semaphore its permits.
  void set(std::uint64_t permits);
  /// @returns whether there was a permit for me; queued up, if not.
  bool acquire();
  bool try_acquire();
  /// @returns false, changing nothing, where that would be more permits than can be counted.
  bool release(std::uint64_t permits);
  /// Gives back the permit that was meant for the dead, if it had not gone on with it.
  void bury(ParticipantId dead);

  [[nodiscard]] std::uint64_t permits() { return section_.field(permits_field); }

 private:
  enum Field : std::size_t { permits_field };

  void hand_out();

  Section section_;
};

}  // namespace rankpool::shared
