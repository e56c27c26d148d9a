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
    if (count == 0) return true;
    if (const std::uint64_t i = first - lot_.first; count == 1) {
      settled_[i / bits] |= std::uint64_t{1} << (i % bits);
      --outstanding_;
      return true;
    }
    const Words words(first - lot_.first, count);
    settled_[words.first] |= words.first_mask;
    for (std::size_t word = words.first + 1; word < words.last; ++word) settled_[word] = all_ones;
    settled_[words.last] |= words.last_mask;
    outstanding_ -= count;
    return true;
  }

  [[nodiscard]] bool is_outstanding(std::uint64_t first, std::uint64_t count) {
    if (first < lot_.first || count > lot_.count || first - lot_.first > lot_.count - count) return false;
    if (count <= 1) return count == 0 || !is_settled(first);
    const Words words(first - lot_.first, count);
    std::uint64_t settled = (settled_[words.first] & words.first_mask) | (settled_[words.last] & words.last_mask);
    for (std::size_t word = words.first + 1; word < words.last; ++word) settled |= settled_[word];
    return settled == 0;
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
  static constexpr std::uint64_t all_ones = ~std::uint64_t{0};

  [[nodiscard]] bool is_settled(std::uint64_t task) const {
    const std::uint64_t i = task - lot_.first;
    return (settled_[i / bits] >> (i % bits) & 1U) != 0;
  }

  /// The words of `count` tasks from the lot's `begin` on, and which bits of the outer ones are theirs; those of the
  /// words between all are.
  struct Words {
    Words(std::uint64_t begin, std::uint64_t count) : first(begin / bits), last((begin + count - 1) / bits) {
      first_mask = all_ones << (begin % bits);
      last_mask = all_ones >> (bits - 1 - (begin + count - 1) % bits);
      if (first == last) first_mask = last_mask = first_mask & last_mask;
    }

    std::size_t first;
    std::size_t last;
    std::uint64_t first_mask;
    std::uint64_t last_mask;
  };

  Lot lot_;
  boost::container::small_vector<std::uint64_t, 4> settled_;
  std::uint64_t outstanding_ = 0;
};

}  // namespace rankpool::host
