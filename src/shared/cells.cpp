#include "shared/cells.hpp"

#include <atomic>
#include <cstring>
#include <string>
#include <type_traits>

#include "support/text.hpp"

namespace rankpool::shared {
namespace {

using detail::Bytes;
using detail::Number;
using detail::SharedAnswer;
using detail::SharedReply;
using detail::SharedRequest;
using detail::SharedVerb;

template <class T>
T value_of(Bytes bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

template <class T>
SharedReply reply_with(T value, SharedAnswer answer = SharedAnswer::done) {
  SharedReply reply{.answer = answer};
  std::memcpy(&reply.word, &value, sizeof value);
  return reply;
}

template <class T>
std::atomic_ref<T> atomic_at(std::byte* cell) {
  return std::atomic_ref<T>(*reinterpret_cast<T*>(cell));
}

template <class T>
SharedReply add(std::byte* cell, Bytes payload) {
  if (payload.size() != sizeof(T)) return {.answer = SharedAnswer::wrong_kind};
  return reply_with(atomic_at<T>(cell).fetch_add(value_of<T>(payload)));
}

SharedReply add(Number number, std::byte* cell, Bytes payload) {
  switch (number) {
    case Number::i8:
    case Number::u8:
      return add<std::uint8_t>(cell, payload);
    case Number::i16:
    case Number::u16:
      return add<std::uint16_t>(cell, payload);
    case Number::i32:
    case Number::u32:
      return add<std::uint32_t>(cell, payload);
    case Number::i64:
    case Number::u64:
      return add<std::uint64_t>(cell, payload);
    case Number::f32:
      return add<float>(cell, payload);
    case Number::f64:
      return add<double>(cell, payload);
  }
  return {.answer = SharedAnswer::wrong_kind};
}

template <class Word>
SharedReply read_words(std::byte* from, std::uint64_t count) {
  if (count == 1) return reply_with(atomic_at<Word>(from).load());
  SharedReply reply;
  reply.bytes.resize(count * sizeof(Word));
  for (std::uint64_t i = 0; i < count; ++i) {
    const Word word = atomic_at<Word>(from + i * sizeof word).load();
    std::memcpy(reply.bytes.data() + i * sizeof word, &word, sizeof word);
  }
  return reply;
}

template <class Word>
SharedReply write_words(std::byte* to, Bytes payload) {
  for (std::uint64_t at = 0; at < payload.size(); at += sizeof(Word)) {
    atomic_at<Word>(to + at).store(value_of<Word>(payload.subspan(at)));
  }
  return {};
}

template <class Word>
SharedReply exchange_word(std::byte* cell, Bytes payload) {
  auto expected = value_of<Word>(payload);
  const bool exchanged =
      atomic_at<Word>(cell).compare_exchange_strong(expected, value_of<Word>(payload.subspan(sizeof(Word))));
  return reply_with(expected, exchanged ? SharedAnswer::done : SharedAnswer::refused);
}

/// Calls `work` with a value of the unsigned type of this size.
template <class Work>
SharedReply with_word(std::uint64_t bytes, const Work& work) {
  switch (bytes) {
    case 1:
      return work(std::uint8_t{});
    case 2:
      return work(std::uint16_t{});
    case 4:
      return work(std::uint32_t{});
    default:
      return work(std::uint64_t{});
  }
}

}  // namespace

void Cells::set(Space& space, Object& object, ParticipantId me, const Place& place) {
  Section section(space, object, me);
  section.field(data_field) = place.data;
  section.field(count_field) = place.count;
  section.field(element_field) = place.element_bytes;
  section.field(beside_field) = place.beside;
  section.commit();
}

Cells::Cells(Space& space, Object& object) : space_(space), object_(object) {
  const auto& fields = object.state().fields;
  place_ = {fields[data_field], fields[count_field], fields[element_field], fields[beside_field]};
}

/// What tasks may have written over is not relied on.
bool Cells::is_sound() const {
  const std::uint64_t size = place_.element_bytes;
  if (size == 0 || place_.count > ~std::uint64_t{0} / size || !space_.contains(place_.data, place_.count * size)) {
    return false;
  }
  return are_words() ? place_.data % size == 0 : space_.contains(place_.beside, size);
}

SharedReply Cells::out_of_range(std::uint64_t first, std::uint64_t count) const {
  const std::string there =
      count <= 1 ? "there is no element " + std::to_string(first)
                 : "there are no " + std::to_string(count) + " elements from element " + std::to_string(first) + " on";
  const std::string why = there + " in an array of " + std::to_string(place_.count);
  return {.answer = SharedAnswer::out_of_range, .bytes = support::bytes_of(why)};
}

SharedReply Cells::perform(const SharedRequest& request, ParticipantId me) {
  if (!is_sound()) return {.answer = SharedAnswer::damaged};
  const std::uint64_t size = place_.element_bytes;
  std::uint64_t count = 1;
  std::uint64_t payload = size;
  if (request.verb == SharedVerb::read) {
    count = request.words[1];
    payload = 0;
  } else if (request.verb == SharedVerb::write) {
    count = request.payload.size() / size;
    payload = count * size;
  } else if (request.verb == SharedVerb::compare_exchange) {
    payload = 2 * size;
  } else if (request.verb != SharedVerb::add || !are_words()) {
    return {.answer = SharedAnswer::wrong_kind};
  }
  if (request.payload.size() != payload) return {.answer = SharedAnswer::wrong_kind};
  if (!has(request.words[0], count)) return out_of_range(request.words[0], count);
  return are_words() ? perform_on_words(request) : perform_in_section(request, me);
}

SharedReply Cells::perform_on_words(const SharedRequest& request) {
  std::byte* at = cell(request.words[0]);
  if (request.verb == SharedVerb::add) return add(static_cast<Number>(request.words[1]), at, request.payload);
  return with_word(place_.element_bytes, [&]<class Word>(Word) {
    if (request.verb == SharedVerb::read) return read_words<Word>(at, request.words[1]);
    if (request.verb == SharedVerb::write) return write_words<Word>(at, request.payload);
    return exchange_word<Word>(at, request.payload);
  });
}

SharedReply Cells::perform_in_section(const SharedRequest& request, ParticipantId me) {
  Section section(space_, object_, me);
  end_what_was_begun(section);
  const std::uint64_t size = place_.element_bytes;
  const std::uint64_t first = request.words[0];
  SharedReply reply;
  if (request.verb == SharedVerb::write) {
    for (std::uint64_t i = 0; i * size < request.payload.size(); ++i) {
      write(section, first + i, request.payload.subspan(i * size, size));
    }
    return reply;
  }
  const std::uint64_t count = request.verb == SharedVerb::read ? request.words[1] : 1;
  reply.bytes.assign(cell(first), cell(first) + count * size);
  if (request.verb == SharedVerb::compare_exchange) {
    if (std::memcmp(reply.bytes.data(), request.payload.data(), size) == 0) {
      write(section, first, request.payload.subspan(size));
    } else {
      reply.answer = SharedAnswer::refused;
    }
  }
  return reply;
}

void Cells::end_what_was_begun(Section& section) {
  std::uint64_t& being_written = section.field(being_written_field);
  if (being_written == 0) return;
  if (has(being_written - 1, 1)) {
    std::memcpy(cell(being_written - 1), space_.bytes_at(place_.beside), place_.element_bytes);
  }
  being_written = 0;
  section.commit();
}

void Cells::write(Section& section, std::uint64_t i, Bytes value) {
  std::memcpy(space_.bytes_at(place_.beside), value.data(), value.size());
  section.field(being_written_field) = i + 1;
  section.commit();
  end_what_was_begun(section);
}

}  // namespace rankpool::shared
