/// @file
/// Inputs and results that count what becomes of them.
#pragma once

#include <atomic>
#include <cstddef>
#include <iterator>
#include <limits>
#include <ranges>
#include <stdexcept>
#include <string>

namespace rankpool::test {

/// Counts the objects there are.
class Counted {
 public:
  Counted() noexcept { ++alive; }
  explicit Counted(int v) noexcept : value(v) { ++alive; }
  Counted(const Counted& other) noexcept : value(other.value) { ++alive; }
  Counted(Counted&& other) noexcept : value(other.value) { ++alive; }
  Counted& operator=(const Counted&) = default;
  Counted& operator=(Counted&&) = default;
  ~Counted() { --alive; }

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& value;
  }

  int value = 0;
  static inline std::atomic<int> alive{0};
};
inline Counted counted(int x) { return Counted(x); }
inline int value_of(const Counted& counted) { return counted.value; }

/// Integers from 0 on, single-pass, which tells how many were drawn, and throws in place of one.
class Source {
 public:
  class Iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(Source* of) : of_(of) {}
    int operator*() const { return of_->at_; }
    Iterator& operator++() {
      of_->step(of_->at_ + 1);
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& i, std::default_sentinel_t) { return i.at_end(); }

   private:
    [[nodiscard]] bool at_end() const { return of_->at_ == of_->end_; }
    Source* of_ = nullptr;
  };

  explicit Source(int end = std::numeric_limits<int>::max(), int bad = -1) : end_(end), bad_(bad) {}
  Source(Source&&) = delete;
  Source& operator=(Source&&) = delete;
  ~Source() = default;

  Iterator begin() {
    step(0);
    return Iterator(this);
  }
  static std::default_sentinel_t end() { return {}; }

  /// Elements reached.
  [[nodiscard]] int drawn() const { return drawn_; }
  [[nodiscard]] int throws() const { return throws_; }

 private:
  void step(int to) {
    if (to == bad_) {
      ++throws_;
      throw std::domain_error("no item " + std::to_string(to));
    }
    at_ = to;
    if (at_ != end_) ++drawn_;
  }
  int end_;
  int bad_;
  int at_ = 0;
  int drawn_ = 0;
  int throws_ = 0;
};
static_assert(std::ranges::input_range<Source&> && !std::ranges::forward_range<Source&>);

}  // namespace rankpool::test
