// Queues of encoded items, in a ring of bytes that moves to a larger one when it is full.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "shared/object.hpp"

namespace rankpool::shared {

enum class Put : std::uint8_t {
  done,
  refused,     ///< full
  waits,       ///< full; queued up
  needs_room,  ///< nothing has happened: the ring must be moved to a larger one first
  closed,
  damaged  ///< a task has written over the queue
};

enum class Got : std::uint8_t {
  item,
  refused,  ///< empty
  waits,    ///< empty; queued up
  closed,   ///< and empty
  damaged   ///< a task has written over the queue
};

class QueueSection {
 public:
  using Item = std::span<const std::byte>;

  QueueSection(Space& space, Object& object, ParticipantId me) : section_(space, object, me), space_(space) {}

  /// Bytes of a ring that holds this item alone.
  static constexpr std::uint64_t room_for(std::size_t item) { return sizeof(std::uint64_t) + item; }

  /// Gives a new queue its ring. @param max items; 0: as many as there is memory for.
  void set(std::uint64_t ring, std::uint64_t capacity, std::uint64_t max);
  /// Moves to a larger ring. @returns the one that is free now: that one, if it is no larger or the queue is damaged.
  std::uint64_t move_to(std::uint64_t ring, std::uint64_t capacity);

  Put put(Item item);
  /// The same without queueing up.
  Put try_put(Item item);
  /// After wait_for_turn(), if that ended in being let in; where room is needed, again when there is.
  Put put_admitted(Item item);
  Got get(std::vector<std::byte>& item);
  Got try_get(std::vector<std::byte>& item);
  Got get_admitted(std::vector<std::byte>& item);

  /// No more items come; who waits for some, or for room, is let in to see that.
  void close();
  /// I was let in and don't want any more: what was promised to me is for the next one.
  void give_up();
  /// The same for the dead.
  void bury(ParticipantId dead);

  [[nodiscard]] std::uint64_t size() { return section_.field(count_field); }
  [[nodiscard]] std::uint64_t capacity() { return section_.field(capacity_field); }
  [[nodiscard]] std::uint64_t used() { return section_.field(tail_field) - section_.field(head_field); }

  static constexpr std::uint32_t getters = 0;
  static constexpr std::uint32_t putters = 1;

 private:
  /// Head and tail count bytes since the ring was set; items and places are those promised to who was let in for them.
  enum Field : std::size_t {
    ring_field,
    capacity_field,
    head_field,
    tail_field,
    count_field,
    max_field,
    closed_field,
    promised_items_field,
    promised_places_field
  };

  [[nodiscard]] bool is_closed() { return section_.field(closed_field) != 0; }
  [[nodiscard]] bool is_sound();
  [[nodiscard]] bool has_room(std::size_t item) { return capacity() - used() >= room_for(item); }
  [[nodiscard]] bool has_place();
  void append(Item item);
  [[nodiscard]] Got take(std::vector<std::byte>& item);
  void take_back(const WaitingPlace& promised);
  void admit_getters();
  void admit_putters();
  void write(std::uint64_t position, Item bytes);
  void read(std::uint64_t position, std::span<std::byte> bytes);

  Section section_;
  Space& space_;
};

}  // namespace rankpool::shared
