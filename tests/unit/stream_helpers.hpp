/// @file
/// Tasks, inputs and results for tests of streams.
#pragma once

#include <atomic>
#include <cstddef>
#include <iterator>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <rankpool/rankpool.hpp>

#include "stream_pool.hpp"

namespace rankpool::test {

/// A pool, and the view of it that only tests have.
struct Streams {
  explicit Streams(Choice choice = oldest_first(), Driver driver = Driver::waiter)
      : core(std::make_shared<StreamPool>(std::move(choice), driver)), pool(core) {}
  std::shared_ptr<StreamPool> core;
  Pool pool;
};

inline int square(int x) { return x * x; }
inline int same(int x) { return x; }
inline int add(int x, int y) { return x + y; }
inline void nothing(int /*x*/) {}
inline std::string shout(const std::string& text) { return text + "!"; }
inline bool is_even(int x) { return x % 2 == 0; }
inline int odd_only(int x) {
  if (x % 2 == 0) throw std::out_of_range(std::to_string(x) + " is even");
  return x;
}
inline void odd_or_nothing(int x) { odd_only(x); }

inline std::vector<int> numbers(int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  std::iota(all.begin(), all.end(), 0);
  return all;
}
inline std::vector<int> squares(int n) {
  std::vector<int> all = numbers(n);
  for (int& x : all) x *= x;
  return all;
}

template <class Stream>
auto rest_of(Stream&& stream) {
  std::vector<typename std::remove_cvref_t<Stream>::value_type> items;
  for (auto& item : stream) items.push_back(std::move(item));
  return items;
}

template <class R>
inline void expect_end(ResultStream<R>& stream) {
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(stream.next());
  EXPECT_FALSE(stream.next(Seconds(0)));
  EXPECT_EQ(stream.begin(), stream.end());
}

template <class Error>
inline std::string error_of(auto&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing thrown";
}

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

}  // namespace rankpool::test
