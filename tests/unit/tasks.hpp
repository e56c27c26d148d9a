/// @file
/// Tasks for tests of calls, their inputs and their results.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <rankpool/rankpool.hpp>

#include "numbers.hpp"

namespace rankpool::test {

inline int same(int x) { return x; }
inline int add(int x, int y) { return x + y; }
inline bool is_even(int x) { return x % 2 == 0; }
inline int odd_only(int x) {
  if (is_even(x)) throw std::out_of_range(std::to_string(x) + " is even");
  return x;
}
inline void nothing(int /*x*/) {}
inline void odd_or_nothing(int x) { odd_only(x); }
inline std::string shout(const std::string& text) { return text + "!"; }
inline std::unique_ptr<int> boxed(int x) { return std::make_unique<int>(x); }

struct Point {
  int x = 0;
  int y = 0;
};
inline int norm1(const Point& p) { return p.x + p.y; }

/// Result type without a default constructor.
class Parity {
 public:
  explicit Parity(int of) : odd_(of % 2 != 0) {}
  [[nodiscard]] bool odd() const { return odd_; }

 private:
  bool odd_;
};

/// @returns the text of the Error that `f` throws.
template <class Error = std::exception, class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline std::string text_of(const std::exception_ptr& error) { return rankpool::detail::text_of(error); }

template <class F>
double seconds_of(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace rankpool::test
