// Executors die while they read a large argument or write a large result: the task is tried again or is an error, and
// the memory in between comes back.
#include "pool/pool_test.hpp"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>
#include <boost/serialization/split_member.hpp>

#include "faults/holdings.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using rankpool::WorkerLost;

constexpr std::size_t large = 100'000'000;
constexpr std::size_t huge = 2'200'000'000;
static_assert(huge > std::size_t{1} << 31U, "more than MPI counts");

using Chars = std::vector<char>;

char char_at(std::size_t i) { return static_cast<char>((i >> 20U) + 7 * i); }

Chars many_chars(std::size_t n) {
  Chars all(n);
  for (std::size_t i = 0; i < n; ++i) all[i] = char_at(i);
  return all;
}

/// @returns how many chars are not as many_chars() made them, or missing.
std::size_t wrong_chars(const Chars& all, std::size_t n) {
  if (all.size() != n) return n;
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < n; ++i) wrong += all[i] == char_at(i) ? 0U : 1U;
  return wrong;
}

void die_in_first_attempts(std::uint32_t attempts) {
  if (rankpool::this_task::attempt() <= attempts) ::kill(getpid(), SIGKILL);
}

/// Ends the executor that has read the first half of it.
struct Argument {
  std::uint32_t deaths = 0;
  Chars first;
  Chars second;
  template <class Archive>
  void save(Archive& archive, unsigned /*version*/) const {
    archive << deaths << first << second;
  }
  template <class Archive>
  void load(Archive& archive, unsigned /*version*/) {
    archive >> deaths >> first;
    die_in_first_attempts(deaths);
    archive >> second;
  }
  BOOST_SERIALIZATION_SPLIT_MEMBER()
};

/// Ends the executor that has written the first half of it.
struct Result {
  std::uint32_t deaths = 0;
  Chars first;
  Chars second;
  template <class Archive>
  void save(Archive& archive, unsigned /*version*/) const {
    archive << deaths << first;
    die_in_first_attempts(deaths);
    archive << second;
  }
  template <class Archive>
  void load(Archive& archive, unsigned /*version*/) {
    archive >> deaths >> first >> second;
  }
  BOOST_SERIALIZATION_SPLIT_MEMBER()
};

std::size_t take(const Argument& argument) {
  return wrong_chars(argument.first, argument.first.size()) + wrong_chars(argument.second, argument.second.size());
}

Result give(std::uint32_t deaths, std::size_t bytes) { return {deaths, many_chars(bytes / 2), many_chars(bytes / 2)}; }

std::size_t wrong_in(const Result& result, std::size_t bytes) {
  return wrong_chars(result.first, bytes / 2) + wrong_chars(result.second, bytes / 2);
}

/// Does the same again and again; from the second time on, no process and no channel holds more.
void expect_no_leak(int times, const std::function<void()>& act) {
  constexpr double tolerance = 40;  // in MB: the heap keeps a few free parts, a leak would be a hundred each time
  act();
  const auto look = [] {
    EXPECT_TRUE(eventually([] {
      pool().apply(square, 1);  // an idle pool looks after nobody
      return executors().size() == static_cast<std::size_t>(pool().processes());
    }));
    EXPECT_EQ(pool().map(square, numbers(1000)), squares(1000));
    return Holdings::now();
  };
  const Holdings before = look();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < times && !testing::Test::HasFailure(); ++i) act();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const Holdings after = look();
  std::cout << testing::UnitTest::GetInstance()->current_test_info()->name() << ": " << times << " times in "
            << elapsed.count() << " s\n  before: " << before << "\n  after:  " << after << std::endl;
  EXPECT_LT(after.master.megabytes, before.master.megabytes + tolerance);
  EXPECT_LT(after.ranks.megabytes, before.ranks.megabytes + tolerance);
  EXPECT_LT(after.zygotes.megabytes, before.zygotes.megabytes + tolerance);
  EXPECT_LT(after.channel, before.channel + tolerance);
  EXPECT_EQ(after.master.descriptors, before.master.descriptors);
}

/// Kills all executors once, after a random part of `time`.
class OneKill {
 public:
  explicit OneKill(std::chrono::microseconds time)
      : thread_([time] {
          std::this_thread::sleep_for(std::uniform_int_distribution<std::int64_t>(0, time.count())(random()) * 1us);
          for (const int pid : executors()) kills_ += ::kill(pid, SIGKILL) == 0 ? 1 : 0;
        }) {}

  /// Of all so far. One of its kind at a time.
  static std::size_t kills() { return kills_; }

 private:
  static inline std::size_t kills_ = 0;
  static std::mt19937_64& random() {
    static std::mt19937_64 numbers(1);
    return numbers;
  }
  std::jthread thread_;
};

// --- 100 MB ----------------------------------------------------------------------------------------------------------

TEST(Large, argument_is_read_again_when_the_executor_dies_over_it) {
  const Chars half = many_chars(large / 2);
  expect_no_leak(20, [&] { EXPECT_EQ(pool().apply(take, Argument{2, half, half}), 0U); });
}

TEST(Large, result_is_written_again_when_the_executor_dies_over_it) {
  expect_no_leak(20, [] { EXPECT_EQ(wrong_in(pool().apply(give, 2U, large), large), 0U); });
}

TEST(Large, argument_of_a_task_without_attempts_left_is_given_up) {
  const Chars half = many_chars(large / 2);
  expect_no_leak(20, [&] { EXPECT_THROW(pool().apply(take, Argument{100, half, half}), WorkerLost); });
}

TEST(Large, result_of_a_task_without_attempts_left_is_given_up) {
  expect_no_leak(10, [] { EXPECT_THROW(pool().apply(give, 100U, large), WorkerLost); });
}

TEST(Large, payloads_survive_kills_at_any_moment) {
  const Chars all = many_chars(large);
  const auto echo = [](const Chars& chars) { return std::pair(rankpool::this_task::attempt(), chars); };
  int struck = 0;
  const auto timed = [&] {
    const auto start = std::chrono::steady_clock::now();
    const auto [attempt, chars] = pool().apply(echo, all);
    EXPECT_EQ(chars, all);
    struck += attempt > 1 ? 1 : 0;
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
  };
  timed();
  const auto time = timed();
  constexpr int times = 40;
  const auto kill_in_between = [&] {
    const OneKill kill(time);
    timed();
  };
  expect_no_leak(times, kill_in_between);
  // Between nodes the task is only a small part of the time.
  constexpr int least_struck = 2;
  constexpr int most_further_times = 100;
  for (int i = 0; i < most_further_times && struck < least_struck; ++i) kill_in_between();
  std::cout << OneKill::kills() << " executors killed, " << struck << " times in the task" << std::endl;
  EXPECT_GE(OneKill::kills(), static_cast<std::size_t>(times));
  EXPECT_GE(struck, least_struck);
}

// --- 2.2 GB ----------------------------------------------------------------------------------------------------------

TEST(Huge, argument_is_read_again_when_the_executor_dies_over_it) {
  const Chars half = many_chars(huge / 2);
  expect_no_leak(2, [&] { EXPECT_EQ(pool().apply(take, Argument{1, half, half}), 0U); });
}

TEST(Huge, result_is_written_again_when_the_executor_dies_over_it) {
  expect_no_leak(2, [] { EXPECT_EQ(wrong_in(pool().apply(give, 1U, huge), huge), 0U); });
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
