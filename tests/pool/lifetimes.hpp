/// @file
/// Arguments, results, callables, callbacks and exceptions that are counted, here and in the executors.
#pragma once

#include "pool/pool_test.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <ostream>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

namespace rankpool::test::lifetimes {

/// Counts the objects of its kind in this process.
template <class Kind>
class Counted {
 public:
  static inline std::atomic<int> live = 0;
  static inline std::atomic<int> most = 0;  ///< there were at a time
  static inline std::atomic<int> received = 0;

  explicit Counted(int number = 0) noexcept : number_(number) { count(); }
  Counted(const Counted& other) noexcept : number_(other.number_) { count(); }
  Counted(Counted&& other) noexcept : number_(other.number_) { count(); }
  Counted& operator=(const Counted&) noexcept = default;
  Counted& operator=(Counted&&) noexcept = default;
  ~Counted() { --live; }

  [[nodiscard]] int number() const noexcept { return number_; }

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& number_;
    if (Archive::is_loading::value) ++received;
  }

 private:
  static void count() noexcept {
    const int now = ++live;
    int before = most;
    while (before < now && !most.compare_exchange_weak(before, now)) {
    }
  }

  int number_;
};

using Argument = Counted<struct ArgumentKind>;
using Result = Counted<struct ResultKind>;
using Bound = Counted<struct BoundKind>;
using CallbackState = Counted<struct CallbackKind>;
using ErrorState = Counted<struct ErrorKind>;

struct CountedError : std::runtime_error {
  explicit CountedError(const std::string& text) : std::runtime_error(text) {}
  ErrorState state{1};

  template <class Archive>
  void serialize(Archive& archive, unsigned /*version*/) {
    archive& state;
  }
};

/// How many objects of each kind there are in a process.
struct Census {
  int pid = 0;
  int arguments = 0;
  int results = 0;
  int bound = 0;
  int errors = 0;

  static Census take() {
    return {static_cast<int>(getpid()), Argument::live, Result::live, Bound::live, ErrorState::live};
  }
  [[nodiscard]] bool empty() const { return arguments + results + bound + errors == 0; }
};

inline std::ostream& operator<<(std::ostream& out, const Census& census) {
  return out << "pid " << census.pid << ": " << census.arguments << " arguments, " << census.results << " results, "
             << census.bound << " bound, " << census.errors << " errors";
}

/// For calls that have ended before: the thread that ended them may be about to drop what it held.
inline void expect_nothing_left() {
  EXPECT_TRUE(eventually([] { return Census::take().empty() && CallbackState::live == 0; }))
      << Census::take() << ", " << CallbackState::live << " callbacks";
}

inline std::vector<Census> census_of_executors() {
  const auto take = [](int) {
    sleep_ms(2);  // so that all take part
    return Census::take();
  };
  return pool().map(take, numbers(4 * pool().processes()), {.chunksize = 1});
}

/// Executors keep callables for a while: the call may go on.
inline void expect_nothing_left_in_executors() {
  for (const Census& census : census_of_executors()) {
    EXPECT_EQ(census.arguments, 0) << census;
    EXPECT_EQ(census.results, 0) << census;
    EXPECT_EQ(census.errors, 0) << census;
  }
  const bool forgotten = eventually([] {
    sleep_ms(200);
    return std::ranges::all_of(census_of_executors(), &Census::empty);
  });
  EXPECT_TRUE(forgotten) << "callables";
}

inline Result make(const Argument& argument) { return Result(argument.number()); }
inline Result make_with(const Bound& bound, const Argument& argument) {
  return Result(bound.number() + argument.number());
}
inline Result make_slowly(const Argument& argument) {
  sleep_ms(10);
  return Result(argument.number());
}
inline Result fail_on(int bad, const Argument& argument) {
  if (argument.number() == bad) throw CountedError("task " + std::to_string(bad));
  return Result(argument.number());
}
inline Result die_at(int bad, const Argument& argument) {
  if (argument.number() == bad) _exit(3);
  return Result(argument.number());
}

inline std::vector<Argument> arguments(int n) {
  std::vector<Argument> all;
  all.reserve(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) all.emplace_back(i);
  return all;
}

inline constexpr auto to_argument = [](int i) { return Argument(i); };
inline auto endless_arguments() { return std::views::iota(0) | std::views::transform(to_argument); }

/// Holds after each case, in this process.
class Lifetime : public testing::Test {
 protected:
  void TearDown() override { expect_nothing_left(); }
};

}  // namespace rankpool::test::lifetimes
