// Calls of all kinds with `speculate`, from several threads, while executors are stopped, let go on, and killed at
// random.
//
//   STORM_SECONDS=60 ./speculation_storm_test
#include "pool/pool_test.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <random>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include "faults/family.hpp"

namespace {

using namespace std::chrono_literals;
using namespace rankpool::test;  // NOLINT(google-build-using-namespace)
using Clock = std::chrono::steady_clock;

std::string result_of(int i) { return std::string(static_cast<std::size_t>(i % 9), 'x') + std::to_string(i); }

std::string work(int i) {
  std::this_thread::sleep_for(std::chrono::microseconds(500 + i % 7 * 1000));
  return result_of(i);
}

void disturb(const std::atomic<bool>& over) {
  std::mt19937 random(7);
  while (!over) {
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 50));
    const Pids all = executors();
    if (all.empty()) continue;
    const int victim = all[random() % all.size()];
    ::kill(victim, SIGSTOP);
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 400));
    if (random() % 8 == 0) ::kill(victim, SIGKILL);
    ::kill(victim, SIGCONT);
  }
}

/// @returns nothing where the call's time was over.
std::vector<std::string> any_call(std::mt19937& random, int tasks) {
  const auto inputs = std::views::iota(0, tasks);
  rankpool::MapOptions options{.chunksize = random() % 3 * 5, .max_attempts = 50, .speculate = true};
  switch (random() % 4) {
    case 0:
      return pool().map(work, inputs, options);
    case 1:
      return pool().map_async(work, inputs, options).get();
    case 2: {
      options.buffersize = 1 + random() % 200;
      std::vector<std::string> results;
      for (const std::string& result : pool().imap(work, inputs, options)) results.push_back(result);
      return results;
    }
    default:
      options.timeout = 30ms;
      try {
        return pool().map(work, inputs, options);
      } catch (const rankpool::TimeoutError&) {
        return {};
      }
  }
}

TEST(SpeculationStorm, calls_from_several_threads_have_their_results) {
  const char* seconds = std::getenv("STORM_SECONDS");
  const auto end = Clock::now() + std::chrono::seconds(seconds != nullptr ? std::atoi(seconds) : 4);
  std::atomic<bool> over = false;
  std::atomic<int> calls = 0;
  std::jthread disturber([&over] { disturb(over); });
  std::vector<std::jthread> callers;
  for (unsigned seed = 0; seed < 4; ++seed) {
    callers.emplace_back([&, seed] {
      std::mt19937 random(seed);
      for (; Clock::now() < end; ++calls) {
        const int tasks = 1 + static_cast<int>(random() % 150);
        const std::vector<std::string> results = any_call(random, tasks);
        if (results.empty()) continue;
        ASSERT_EQ(results.size(), static_cast<std::size_t>(tasks));
        for (int i = 0; i < tasks; ++i) ASSERT_EQ(results[static_cast<std::size_t>(i)], result_of(i));
      }
    });
  }
  callers.clear();
  over = true;
  disturber.join();
  std::cout << calls << " calls" << std::endl;
  EXPECT_GE(calls, 10);
}

}  // namespace

int main(int argc, char** argv) { return run_cases(argc, argv); }
