// Cells: values of one size side by side. Those of a machine word's sizes are atomics, which no participant is needed
// for and no death can tear. Others are written one at a time by who is in a section: first beside, then, once that is
// committed, to their place. Whoever comes next ends what a dead one has begun.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shared/object.hpp"

namespace rankpool::shared {

class Cells {
 public:
  /// Where cells are, and how many of what size; and a place for one that is being written, unless they are words.
  struct Place {
    std::uint64_t data = 0;
    std::uint64_t count = 0;
    std::uint64_t element_bytes = 0;
    std::uint64_t beside = 0;
  };

  /// Whether cells of this size are atomics.
  static constexpr bool are_words(std::uint64_t bytes) { return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8; }

  /// Tells new cells where they are.
  static void set(Space& space, Object& object, ParticipantId me, const Place& place);

  Cells(Space& space, Object& object);

  [[nodiscard]] bool are_words() const { return are_words(place_.element_bytes); }
  /// Does what is asked for cells that are words, or by `me`.
  detail::SharedReply perform(const detail::SharedRequest& request, ParticipantId me);

 private:
  enum Field : std::size_t { data_field, count_field, element_field, beside_field, being_written_field };

  [[nodiscard]] bool is_sound() const;
  [[nodiscard]] bool has(std::uint64_t first, std::uint64_t count) const {
    return first <= place_.count && count <= place_.count - first;
  }
  [[nodiscard]] detail::SharedReply out_of_range(std::uint64_t first, std::uint64_t count) const;
  [[nodiscard]] std::byte* cell(std::uint64_t i) const {
    return space_.bytes_at(place_.data + i * place_.element_bytes);
  }
  detail::SharedReply perform_on_words(const detail::SharedRequest& request);
  detail::SharedReply perform_in_section(const detail::SharedRequest& request, ParticipantId me);
  void end_what_was_begun(Section& section);
  void write(Section& section, std::uint64_t i, detail::Bytes value);

  Space& space_;
  Object& object_;
  Place place_;
};

}  // namespace rankpool::shared
