// What participants wait for that nobody holds: conditions, events and barriers.
#pragma once

#include "shared/object.hpp"

namespace rankpool::shared {

/// A condition variable's own part; the lock is another object.
class ConditionSection {
 public:
  ConditionSection(Space& space, Object& object, ParticipantId me) : section_(space, object, me) {}

  /// Queued up: the lock is let go of after this, so that no notification in between is missed.
  void wait();
  /// Lets the `count` in that have waited longest.
  void notify(std::uint64_t count);
  void notify_all();
  /// Lets everyone in: the dead may have been let in and have died on its way to the lock. Who waits for a condition
  /// has to look whether it holds in any case.
  void bury(ParticipantId dead);

 private:
  Section section_;
};

class EventSection {
 public:
  EventSection(Space& space, Object& object, ParticipantId me) : section_(space, object, me) {}

  [[nodiscard]] bool is_set() { return section_.field(set_field) != 0; }
  void set();
  void clear();
  /// @returns whether it is set; queued up, if not.
  bool wait();
  void bury(ParticipantId dead);

 private:
  enum Field : std::size_t { set_field };

  Section section_;
};

class BarrierSection {
 public:
  BarrierSection(Space& space, Object& object, ParticipantId me) : section_(space, object, me) {}

  /// Gives a new barrier the number of those it waits for.
  void set(std::uint64_t parties);
  [[nodiscard]] std::uint64_t parties() { return section_.field(parties_field); }
  [[nodiscard]] std::uint64_t arrived() { return section_.count_waiting(); }
  /// @returns whether I am the last; queued up, if not.
  bool arrive();
  /// The dead has not arrived; until it is buried it has.
  void bury(ParticipantId dead);

 private:
  enum Field : std::size_t { parties_field };

  Section section_;
};

}  // namespace rankpool::shared
