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

/// What tasks may have written over is not relied on: neither the master nor an innocent executor is to crash of it.
bool QueueSection::is_sound() {
  return capacity() != 0 && space_.contains(section_.field(ring_field), capacity()) &&
         section_.field(head_field) <= section_.field(tail_field) && used() <= capacity() &&
         size() <= used() / sizeof(std::uint64_t);
}

std::uint64_t QueueSection::move_to(std::uint64_t ring, std::uint64_t capacity) {
  if (!is_sound() || capacity <= this->capacity()) return ring;
  const std::uint64_t bytes = used();
  read(section_.field(head_field), {space_.bytes_at(ring), bytes});
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
  const Put put = try_put(item);
  if (put != Put::refused) return put;
  section_.enqueue(putters);
  section_.commit();
  return Put::waits;
}

Put QueueSection::try_put(Item item) {
  if (!is_sound()) return Put::damaged;
  if (is_closed()) return Put::closed;
  if (!has_place() || section_.first_waiting(putters) != nobody) return Put::refused;
  if (!has_room(item.size())) return Put::needs_room;
  append(item);
  section_.commit();
  return Put::done;
}

Put QueueSection::put_admitted(Item item) {
  if (!is_sound() || is_closed()) {
    section_.withdraw();
    return is_sound() ? Put::closed : Put::damaged;
  }
  if (!has_room(item.size())) return Put::needs_room;
  --section_.field(promised_places_field);
  append(item);
  section_.use_admission();
  section_.commit();
  return Put::done;
}

Got QueueSection::get(std::vector<std::byte>& item) {
  const Got got = try_get(item);
  if (got != Got::refused) return got;
  section_.enqueue(getters);
  section_.commit();
  return Got::waits;
}

Got QueueSection::try_get(std::vector<std::byte>& item) {
  if (!is_sound()) return Got::damaged;
  if (size() > section_.field(promised_items_field) || (is_closed() && size() != 0)) {
    const Got got = take(item);
    if (got == Got::item) section_.commit();
    return got;
  }
  return is_closed() ? Got::closed : Got::refused;
}

Got QueueSection::get_admitted(std::vector<std::byte>& item) {
  const Got got = is_sound() && size() != 0 ? take(item) : Got::damaged;
  if (got != Got::item) {
    section_.withdraw();
    return is_closed() && is_sound() ? Got::closed : got;
  }
  if (!is_closed()) --section_.field(promised_items_field);
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

void QueueSection::give_up() {
  const auto place = section_.my_place();
  if (!place) return;
  section_.use_admission();
  take_back(*place);
}

void QueueSection::bury(ParticipantId dead) {
  if (const auto place = section_.remove_dead(dead)) take_back(*place);
  section_.ring_admitted();
}

void QueueSection::take_back(const WaitingPlace& promised) {
  std::uint64_t& promises = section_.field(promised.group == getters ? promised_items_field : promised_places_field);
  if (!is_closed() && promises != 0) --promises;
  admit_getters();
  admit_putters();
  section_.commit();
}

void QueueSection::append(Item item) {
  const std::uint64_t length = item.size();
  write(section_.field(tail_field), std::as_bytes(std::span(&length, 1)));
  write(section_.field(tail_field) + sizeof length, item);
  section_.field(tail_field) += room_for(item.size());
  ++section_.field(count_field);
  admit_getters();
}

Got QueueSection::take(std::vector<std::byte>& item) {
  std::uint64_t length = 0;
  read(section_.field(head_field), std::as_writable_bytes(std::span(&length, 1)));
  if (length > used() - sizeof length) return Got::damaged;
  item.resize(length);
  read(section_.field(head_field) + sizeof length, item);
  section_.field(head_field) += room_for(item.size());
  --section_.field(count_field);
  admit_putters();
  return Got::item;
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
  std::byte* ring = space_.bytes_at(section_.field(ring_field));
  const std::uint64_t at = position % capacity();
  const std::size_t first = std::min<std::size_t>(bytes.size(), capacity() - at);
  std::memcpy(ring + at, bytes.data(), first);
  std::memcpy(ring, bytes.data() + first, bytes.size() - first);
}

void QueueSection::read(std::uint64_t position, std::span<std::byte> bytes) {
  if (bytes.empty()) return;
  const std::byte* ring = space_.bytes_at(section_.field(ring_field));
  const std::uint64_t at = position % capacity();
  const std::size_t first = std::min<std::size_t>(bytes.size(), capacity() - at);
  std::memcpy(bytes.data(), ring + at, first);
  std::memcpy(bytes.data() + first, ring, bytes.size() - first);
}

}  // namespace rankpool::shared
