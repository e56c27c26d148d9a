/// @file
/// Calls that go on when a test says so.
#pragma once

#include "pool/pool_test.hpp"

#include <chrono>
#include <cstddef>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace rankpool::test {

/// Holds calls back until it is opened; it opens before it dies.
class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { open(); }

  void open() { append_line(file_.path(), "1"); }

  /// A task that waits for the gate.
  /// @returns value.
  static int pass(const std::string& gate, int value) {
    for (std::string line; !std::getline(std::ifstream(gate), line);) sleep_ms(1);
    return value;
  }
  [[nodiscard]] const std::string& path() const { return file_.path(); }

  /// A call that ends with `value` once the gate is open.
  [[nodiscard]] Future<int> call(Pool& pool, int value) const { return pool.submit(pass, file_.path(), value); }

  /// Calls that keep every executor busy, and as many again that wait.
  [[nodiscard]] std::vector<Future<int>> calls(Pool& pool) const {
    std::vector<Future<int>> futures;
    for (int i = 0; i < 2 * pool.processes(); ++i) futures.push_back(call(pool, i));
    return futures;
  }

 private:
  ScratchFile file_;
};

inline void expect_numbered(const std::vector<Future<int>>& futures) {
  for (std::size_t i = 0; i < futures.size(); ++i) EXPECT_EQ(futures[i].get(), static_cast<int>(i));
}

/// Occupies every executor until it is destroyed.
class Busy {
 public:
  Busy() {
    for (int i = 0; i < pool().processes(); ++i)
      tasks_.push_back(pool().submit(tell_and_pass, started_.path(), gate_.path()));
    while (started_.numbers<std::vector<int>>().size() < tasks_.size()) sleep_ms(2);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() { release(); }

  void release() {
    if (tasks_.empty()) return;
    gate_.open();
    for (const auto& task : tasks_) task.wait();
    tasks_.clear();
  }
  [[nodiscard]] const Future<int>& one() const { return tasks_.front(); }

 private:
  static int tell_and_pass(const std::string& started, const std::string& gate) {
    append_line(started, "1");
    return Gate::pass(gate, 1);
  }

  ScratchFile started_;
  Gate gate_;
  std::vector<Future<int>> tasks_;
};

}  // namespace rankpool::test
