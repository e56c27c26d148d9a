/// @file
/// Calls on pools whose tasks run when a test says so.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <rankpool/rankpool.hpp>

#include "manual_pool.hpp"

namespace rankpool::test {

/// A pool whose calls are numbered from 1.
struct Manual {
  std::shared_ptr<ManualPool> core = std::make_shared<ManualPool>();
  Pool pool{core};
};

/// A pool, and futures of its calls 1, 2, 3, ...: the call's number is the task's argument.
template <class F>
struct Calls : Manual {
  explicit Calls(F f, int count) {
    for (int i = 1; i <= count; ++i) futures.push_back(pool.apply_async(f, i));
  }
  void run(std::initializer_list<std::uint64_t> calls) const {
    for (const std::uint64_t call : calls) core->run_all(call);
  }
  /// Runs calls in another thread, each a little later.
  std::thread run_later(std::vector<std::uint64_t> calls) const {
    return std::thread([core = core, calls = std::move(calls)] {
      for (const std::uint64_t call : calls) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        core->run_all(call);
      }
    });
  }

  std::vector<Future<int>> futures;
};

/// The arguments of futures made by Calls of square.
template <class Futures>
std::vector<int> results_of(Futures&& futures) {
  std::vector<int> results;
  for (const Future<int>& future : futures) results.push_back(future.get());
  return results;
}

}  // namespace rankpool::test
