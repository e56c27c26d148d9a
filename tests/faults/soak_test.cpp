// Ten million tasks, with crashes and without: what processes hold doesn't grow.
//
//   SOAK_MILLIONS=10 ./soak_test
//
// Three at least: two to warm up, and one to be compared with that.
#include "pool/pool_test.hpp"

#include <chrono>
#include <cstdint>
#include <iostream>
#include <optional>
#include <ranges>
#include <string>
#include <vector>

#include <unistd.h>

#include "faults/holdings.hpp"

namespace {

using namespace rankpool::test;  // NOLINT(google-build-using-namespace)

constexpr std::int64_t tasks_of_a_round = 1'000'000;

// A channel keeps some free memory for what comes next.
constexpr double kept_megabytes = 40;

std::int64_t rounds() {
  const char* text = std::getenv("SOAK_MILLIONS");
  return text != nullptr ? std::stoll(text) : 10;
}

/// Every so many tasks of a call one ends its executor, in its first attempt.
struct Crashes {
  std::int64_t every = 0;  ///< 0: none

  void maybe(std::int64_t i) const {
    if (every == 0 || i % every != every - 1 || rankpool::this_task::attempt() > 1) return;
    if (i / every % 2 == 0) _exit(3);
    ::kill(getpid(), SIGKILL);
  }
};

double half(Crashes crashes, std::int64_t i) {
  crashes.maybe(i);
  return 0.5 * static_cast<double>(i);
}

std::string twice(Crashes crashes, const std::string& text) {
  crashes.maybe(static_cast<std::int64_t>(text.size()) < 4 ? 0 : std::stoll(text));
  return text + text;
}

std::int64_t fail_often(Crashes crashes, std::int64_t i) {
  crashes.maybe(i);
  if (i % 100 == 0) throw std::out_of_range("task " + std::to_string(i));
  return i;
}

auto numbers_below(std::int64_t n) { return std::views::iota(std::int64_t{0}, n); }

/// @returns the number of wrong results among the tasks of one round, half of them numbers in chunks that are measured,
/// a quarter numbers one by one, an eighth texts, and the rest streams, errors and futures.
std::int64_t wrong_results(Crashes crashes, std::int64_t tasks) {
  std::int64_t wrong = 0;
  const auto check = [&wrong](bool right) { wrong += right ? 0 : 1; };
  const auto map_halves = [&](std::int64_t n, int chunksize) {
    const auto halves = pool().map(rankpool::bind(half, crashes), numbers_below(n), {.chunksize = chunksize});
    for (std::int64_t i = 0; i < n; ++i) check(halves[static_cast<std::size_t>(i)] == 0.5 * static_cast<double>(i));
  };
  map_halves(tasks / 2, 0);
  map_halves(tasks / 4, 1);

  const std::int64_t eighth = tasks / 8;
  const auto texts =
      pool().map(rankpool::bind(twice, crashes),
                 numbers_below(eighth) | std::views::transform([](std::int64_t i) { return std::to_string(i); }));
  for (std::int64_t i = 0; i < eighth; ++i) {
    check(texts[static_cast<std::size_t>(i)] == std::to_string(i) + std::to_string(i));
  }

  std::int64_t next = 0;
  for (const double item : pool().imap(rankpool::bind(half, crashes), numbers_below(eighth / 2))) {
    check(item == 0.5 * static_cast<double>(next++));
  }
  check(next == eighth / 2);

  next = 0;
  for (const auto& outcome : pool().map_outcomes(rankpool::bind(fail_often, crashes), numbers_below(eighth / 4))) {
    check(outcome.has_value() == (next % 100 != 0));
    ++next;
  }

  std::vector<rankpool::Future<double>> futures;
  const auto task = rankpool::bind(half, crashes);
  for (std::int64_t i = 0; i < eighth / 4; ++i) futures.push_back(pool().submit(task, i));
  for (std::int64_t i = 0; i < eighth / 4; ++i) {
    check(futures[static_cast<std::size_t>(i)].get() == 0.5 * static_cast<double>(i));
  }
  return wrong;
}

void expect_flat(const Holding& before, const Holding& after, const char* what) {
  constexpr double megabytes = 4;
  constexpr std::size_t mappings = 20;  // the heap may be in more parts
  EXPECT_EQ(after.processes, before.processes) << what;
  EXPECT_EQ(after.descriptors, before.descriptors) << what;
  EXPECT_LT(after.mappings, before.mappings + mappings) << what;
  EXPECT_LT(after.megabytes, before.megabytes + megabytes) << what;
}

void soak(Crashes crashes) {
  constexpr std::int64_t warm_up = 2;
  ASSERT_GT(rounds(), warm_up) << "SOAK_MILLIONS is too small to tell anything";
  std::optional<Holdings> before;
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t round = 1; round <= rounds(); ++round) {
    ASSERT_EQ(wrong_results(crashes, tasks_of_a_round), 0);
    EXPECT_TRUE(eventually([] {
      pool().apply(square, 1);  // an idle pool looks after nobody
      return executors().size() == static_cast<std::size_t>(pool().processes());
    }));
    const Holdings now = Holdings::now();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    std::cout << round * tasks_of_a_round << " tasks, " << elapsed.count() << " s: " << now << std::endl;
    if (round == warm_up) before = now;
    if (round < rounds()) continue;
    expect_flat(before->master, now.master, "master");
    expect_flat(before->ranks, now.ranks, "ranks");
    expect_flat(before->zygotes, now.zygotes, "zygotes");
    expect_flat(before->executors, now.executors, "executors");
    EXPECT_LT(now.channel, kept_megabytes * static_cast<double>(ranks().size()));
  }
}

TEST(Soak, of_millions_of_tasks_leaves_what_processes_hold_flat) { soak({}); }

TEST(Soak, with_crashes_leaves_what_processes_hold_flat) { soak({.every = 10'000}); }

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
