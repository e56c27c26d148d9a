/// @file
/// For the tests of the pool's public face: pools with a runner in this thread in place of executors.
#pragma once

#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

#include "serial_runner.hpp"

namespace rankpool::test {

inline Pool serial_pool() { return Pool(std::make_unique<SerialRunner>()); }
inline Pool small_pieces() { return Pool(std::make_unique<SerialRunner>(std::make_shared<Seen>(), false, 3)); }
inline Pool reversed_pool() { return Pool(std::make_unique<SerialRunner>(std::make_shared<Seen>(), true)); }

inline int square(int x) { return x * x; }
inline double power(double base, int exponent) {
  double product = 1;
  for (int i = 0; i < exponent; ++i) product *= base;
  return product;
}
inline std::string shout(const std::string& text) { return text + "!"; }
inline int odd_only(int x) {
  if (x % 2 == 0) throw std::out_of_range(std::to_string(x) + " is even");
  return x;
}

/// @returns the results of square() for 0, 1, ..., n - 1.
inline std::vector<int> squares(int n) {
  std::vector<int> expected;
  for (int i = 0; i < n; ++i) expected.push_back(i * i);
  return expected;
}

/// Single-pass and without a size; throws when item `bad` is asked for.
class Generator {
 public:
  class Iterator {
   public:
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(Generator* of) : of_(of) {}
    int operator*() const { return of_->at_; }
    Iterator& operator++() {
      of_->step(of_->at_ + 1);
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& i, std::default_sentinel_t) { return i.at_end(); }

   private:
    [[nodiscard]] bool at_end() const { return of_->at_ == of_->end_; }
    Generator* of_ = nullptr;
  };

  explicit Generator(int end, int bad = -1) : end_(end), bad_(bad) {}
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;
  ~Generator() = default;

  Iterator begin() {
    step(0);
    return Iterator(this);
  }
  static std::default_sentinel_t end() { return {}; }
  [[nodiscard]] int steps() const { return steps_; }

 private:
  void step(int to) {
    if (to == bad_) throw std::domain_error("no item " + std::to_string(to));
    at_ = to;
    ++steps_;
  }
  int end_;
  int bad_;
  int at_ = 0;
  int steps_ = 0;
};
static_assert(std::ranges::input_range<Generator&> && !std::ranges::forward_range<Generator&>);

/// @returns the text of what `f` throws.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace rankpool::test
