/// @file
/// Tasks on numbers, and numbers for them.
#pragma once

#include <cstddef>
#include <numeric>
#include <vector>

namespace rankpool::test {

inline int square(int x) { return x * x; }
inline double power(double base, int exponent) {
  double product = 1;
  for (int i = 0; i < exponent; ++i) product *= base;
  return product;
}

/// @returns 0, 1, ..., n - 1.
inline std::vector<int> numbers(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

/// @returns the results of square() for them.
inline std::vector<int> squares(int n) {
  std::vector<int> all = numbers(n);
  for (int& x : all) x = square(x);
  return all;
}

}  // namespace rankpool::test
