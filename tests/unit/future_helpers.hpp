/// @file
/// What the tests of futures share: pools whose tasks run in the test's own threads, and tasks.
#pragma once

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include <rankpool/rankpool.hpp>

#include "manual_pool.hpp"
#include "serial_runner.hpp"

namespace rankpool::test {

inline Pool serial_pool() { return Pool(std::make_shared<SerialRunner>()); }

/// A pool whose calls are numbered from 1.
struct Manual {
  std::shared_ptr<ManualPool> core = std::make_shared<ManualPool>();
  Pool pool{core};
};

inline int square(int x) { return x * x; }
inline std::string shout(const std::string& text) { return text + "!"; }
inline int odd_only(int x) {
  if (x % 2 == 0) throw std::out_of_range(std::to_string(x) + " is even");
  return x;
}
inline void nothing(int /*x*/) {}
inline std::unique_ptr<int> boxed(int x) { return std::make_unique<int>(x); }

inline std::string text_of(const std::exception_ptr& error) { return rankpool::detail::text_of(error); }

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
