/// @file
/// A thread that kills executors while the pool works.
#pragma once

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <stop_token>
#include <thread>
#include <utility>

#include "faults/family.hpp"

namespace rankpool::test {

/// Sends SIGKILL to one of the executors of all ranks, chosen at random, again and again for as long as it lives. It
/// finds them as children of the zygotes, which are there from the start of the pool to its end. Those that have not
/// come to their work are spared: a pool of which none ever does gives up.
class Killer {
 public:
  using Interval = std::chrono::microseconds;

  Killer(std::uint64_t seed, Interval interval, std::function<bool(int)> works)
      : works_(std::move(works)),
        random_(seed),
        thread_([this, interval](const std::stop_token& stop) { work(stop, interval); }) {}

  /// Ends the killing. @returns how many executors that were alive it has killed.
  std::size_t stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    return kills_;
  }

 private:
  void work(const std::stop_token& stop, Interval interval) {
    const Pids parents = zygotes();
    auto next = std::chrono::steady_clock::now();
    while (!stop.stop_requested()) {
      next += interval;
      std::this_thread::sleep_until(next);
      Pids victims = children_of(parents);
      std::erase_if(victims, [this](int pid) { return !works_(pid); });
      if (victims.empty()) continue;
      if (::kill(victims[random_() % victims.size()], SIGKILL) == 0) ++kills_;
    }
  }

  std::function<bool(int)> works_;
  std::mt19937_64 random_;
  std::size_t kills_ = 0;
  std::jthread thread_;
};

/// Kills one executor of each zygote, and those that take its place before they come to their work, as far as this
/// process is quick enough. @returns how many it has killed.
inline std::size_t kill_newborns(const Pids& of_zygotes, std::size_t of_each_zygote) {
  std::size_t kills = 0;
  for (const int zygote : of_zygotes) {
    Pids others = children_of({zygote});
    const auto kill_one = [&](int pid) { kills += ::kill(pid, SIGKILL) == 0 ? 1 : 0; };
    if (others.empty()) continue;  // that of a master which has none
    kill_one(others.front());
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    for (std::size_t left = of_each_zygote; left != 0 && std::chrono::steady_clock::now() < deadline;) {
      for (const int pid : children_of({zygote})) {
        if (std::ranges::count(others, pid) != 0) continue;
        others.push_back(pid);
        kill_one(pid);
        --left;
        break;
      }
    }
  }
  return kills;
}

}  // namespace rankpool::test
