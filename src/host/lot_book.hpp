// The leader's book of the posted lots: which tasks of each have been accounted for. Private to the leader, so it
// stands whatever an executor does to the channel.
#pragma once

#include <algorithm>
#include <cstdint>

#include <boost/container/small_vector.hpp>

#include "host/lot.hpp"

namespace rankpool::host {

/// Consecutive tasks of a call.
struct TaskRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

/// Tasks of one lot that have ended or were given back.
class LotAccount {
 public:
  LotAccount() = default;
  explicit LotAccount(const Lot& lot) : lot_(lot), settled_((lot.count + bits - 1) / bits), outstanding_(lot.count) {}

  [[nodiscard]] const Lot& lot() const { return lot_; }
  [[nodiscard]] std::uint64_t outstanding() const { return outstanding_; }

  /// Settles [first, first + count). @returns false, changing nothing, when one of them is not outstanding.
  bool settle(std::uint64_t first, std::uint64_t count) {
    if (!is_outstanding(first, count)) return false;
    if (const std::uint64_t i = first - lot_.first; count == 1) {
      settled_[i / bits] |= std::uint64_t{1} << (i % bits);
      --outstanding_;
      return true;
    }
    each_word(first, count, [this](std::size_t word, std::uint64_t mask) {
      settled_[word] |= mask;
      return true;
    });
    outstanding_ -= count;
    return true;
  }

  [[nodiscard]] bool is_outstanding(std::uint64_t first, std::uint64_t count) {
    if (first < lot_.first || count > lot_.count || first - lot_.first > lot_.count - count) return false;
    if (count == 1) return !is_settled(first);
    return each_word(first, count,
                     [this](std::size_t word, std::uint64_t mask) { return (settled_[word] & mask) == 0; });
  }

  /// Whether [first, end) lies in the lot.
  [[nodiscard]] bool holds(std::uint64_t first, std::uint64_t end) const {
    return first >= lot_.first && first <= end && end - lot_.first <= lot_.count;
  }

  /// The first outstanding run of [from, end), which lies in the lot; a count of 0 when there is none.
  [[nodiscard]] TaskRange outstanding_run(std::uint64_t from, std::uint64_t end) const {
    std::uint64_t first = from;
    while (first < end && is_settled(first)) ++first;
    std::uint64_t last = first;
    while (last < end && !is_settled(last)) ++last;
    return {first, last - first};
  }

 private:
  static constexpr std::uint64_t bits = 64;

  [[nodiscard]] bool is_settled(std::uint64_t task) const {
    const std::uint64_t i = task - lot_.first;
    return (settled_[i / bits] >> (i % bits) & 1U) != 0;
  }

  template <typename Visit>
  bool each_word(std::uint64_t first, std::uint64_t count, Visit&& visit) {
    for (std::uint64_t i = first - lot_.first, end = i + count; i < end;) {
      const std::uint64_t in_word = std::min(bits - i % bits, end - i);
      const std::uint64_t ones = in_word == bits ? ~std::uint64_t{0} : (std::uint64_t{1} << in_word) - 1;
      if (!visit(i / bits, ones << (i % bits))) return false;
      i += in_word;
    }
    return true;
  }

  Lot lot_;
  boost::container::small_vector<std::uint64_t, 4> settled_;
  std::uint64_t outstanding_ = 0;
};

}  // namespace rankpool::host
