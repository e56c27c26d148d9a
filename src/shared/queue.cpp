#include "shared/queue.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace rankpool::shared {

void QueueSection::set(std::uint64_t ring, std::uint64_t capacity, std::uint64_t max) {
  section_.field(ring_field) = ring;
  section_.field(capacity_field) = capacity;
  section_.field(max_field) = max;
  section_.commit();
}

std::uint64_t QueueSection::move_to(std::uint64_t ring, std::uint64_t capacity) {
  const std::uint64_t bytes = used();
  read(section_.field(head_field), {base_ + ring, bytes});
  section_.field(head_field) = 0;
  section_.field(tail_field) = bytes;
  section_.field(capacity_field) = capacity;
  const std::uint64_t before = std::exchange(section_.field(ring_field), ring);
  section_.commit();
  return before;
}

bool QueueSection::has_place() {
  const std::uint64_t max = section_.field(max_field);
  return max == 0 || size() + section_.field(promised_places_field) < max;
}

Put QueueSection::put(Item item) {
  if (is_closed()) return Put::closed;
  if (!has_place() || section_.first_waiting(putters) != nobody) {
    section_.enqueue(putters);
    section_.commit();
    return Put::waits;
  }
  if (!has_room(item.size())) return Put::needs_room;
  append(item);
  section_.commit();
  return Put::done;
}

Put QueueSection::put_admitted(Item item) {
  if (is_closed()) {
    section_.withdraw();
    return Put::closed;
  }
  if (!has_room(item.size())) return Put::needs_room;
  --section_.field(promised_places_field);
  append(item);
  section_.use_admission();
  section_.commit();
  return Put::done;
}

Got QueueSection::get(std::vector<std::byte>& item) {
  if (size() > section_.field(promised_items_field) || (is_closed() && size() != 0)) {
    take(item);
    section_.commit();
    return Got::item;
  }
  if (is_closed()) return Got::closed;
  section_.enqueue(getters);
  section_.commit();
  return Got::waits;
}

Got QueueSection::get_admitted(std::vector<std::byte>& item) {
  if (!is_closed()) --section_.field(promised_items_field);
  if (size() == 0) {
    section_.withdraw();
    return Got::closed;
  }
  take(item);
  section_.use_admission();
  section_.commit();
  return Got::item;
}

// What was promised to those who had been let in before is for whoever comes now.
void QueueSection::close() {
  section_.field(closed_field) = 1;
  section_.field(promised_items_field) = 0;
  section_.admit_all(getters);
  section_.admit_all(putters);
  section_.commit();
}

void QueueSection::bury(ParticipantId dead) {
  const auto place = section_.remove_dead(dead);
  if (place && !is_closed()) {
    --section_.field(place->group == getters ? promised_items_field : promised_places_field);
    admit_getters();
    admit_putters();
    section_.commit();
  }
  section_.ring_admitted();
}

void QueueSection::append(Item item) {
  const std::uint64_t length = item.size();
  write(section_.field(tail_field), std::as_bytes(std::span(&length, 1)));
  write(section_.field(tail_field) + sizeof length, item);
  section_.field(tail_field) += room_for(item.size());
  ++section_.field(count_field);
  admit_getters();
}

void QueueSection::take(std::vector<std::byte>& item) {
  std::uint64_t length = 0;
  read(section_.field(head_field), std::as_writable_bytes(std::span(&length, 1)));
  item.resize(std::min(length, used()));  // a task may have scribbled over it
  read(section_.field(head_field) + sizeof length, item);
  section_.field(head_field) += room_for(item.size());
  --section_.field(count_field);
  admit_putters();
}

void QueueSection::admit_getters() {
  while (size() > section_.field(promised_items_field)) {
    const ParticipantId next = section_.first_waiting(getters);
    if (next == nobody) return;
    ++section_.field(promised_items_field);
    section_.admit(next, getters);
  }
}

void QueueSection::admit_putters() {
  while (has_place()) {
    const ParticipantId next = section_.first_waiting(putters);
    if (next == nobody) return;
    ++section_.field(promised_places_field);
    section_.admit(next, putters);
  }
}

// Until the next commit nobody reads what is written behind the tail.
void QueueSection::write(std::uint64_t position, Item bytes) {
  if (bytes.empty()) return;
  std::byte* ring = base_ + section_.field(ring_field);
  const std::uint64_t at = position % capacity();
  const std::size_t first = std::min<std::size_t>(bytes.size(), capacity() - at);
  std::memcpy(ring + at, bytes.data(), first);
  std::memcpy(ring, bytes.data() + first, bytes.size() - first);
}

void QueueSection::read(std::uint64_t position, std::span<std::byte> bytes) {
  if (bytes.empty()) return;
  const std::byte* ring = base_ + section_.field(ring_field);
  const std::uint64_t at = position % capacity();
  const std::size_t first = std::min<std::size_t>(bytes.size(), capacity() - at);
  std::memcpy(bytes.data(), ring + at, first);
  std::memcpy(bytes.data() + first, ring, bytes.size() - first);
}

}  // namespace rankpool::shared
