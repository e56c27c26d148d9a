// Locks: who holds one is in its state, so that a lock is handed over by one commit, and comes back when its holder
// dies.
#pragma once

#include "shared/object.hpp"

namespace rankpool::shared {

enum class Acquired : std::uint8_t {
  now,
  waits,        ///< queued up
  mine_already  ///< and it isn't recursive
};

class LockSection {
 public:
  LockSection(Space& space, Object& object, ParticipantId me) : section_(space, object, me) {}

  Acquired acquire(bool recursive);
  /// Queues up, also behind myself: for one who goes away again after a time.
  void queue_up();
  /// The same as acquire() without queueing up. @returns whether I hold it now.
  bool try_acquire(bool recursive);
  /// @returns false, changing nothing, where I don't hold it.
  bool release();
  /// Lets go of it, however often I hold it. @returns how often; 0 where I don't.
  std::uint64_t release_fully();
  /// I hold it, and from now on so often.
  void set_depth(std::uint64_t depth);
  /// I hold it and can't say that what it guards is as it should be.
  bool abandon();
  /// Takes it from the dead.
  void bury(ParticipantId dead);

  [[nodiscard]] ParticipantId owner() { return static_cast<ParticipantId>(section_.field(owner_field)); }
  /// Whether one that held it died, and nobody has said since that what it guards is as it should be.
  [[nodiscard]] bool owner_died() { return section_.field(died_field) != 0; }
  void mark_consistent();

  friend ParticipantId holder_of(const Object& object);

 private:
  enum Field : std::size_t { owner_field, depth_field, died_field };

  void hand_over();

  Section section_;
};

/// Who holds it, if it is a lock and held, as it was a moment ago.
[[nodiscard]] ParticipantId holder_of(const Object& object);

}  // namespace rankpool::shared
