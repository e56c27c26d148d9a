/// @file
/// Googletest cases that run on the master, inside run(); worker ranks never see them.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <rankpool/rankpool.hpp>

#include "numbers.hpp"

namespace rankpool::test {

inline Pool* current_pool = nullptr;

/// The pool of the cases that run.
inline Pool& pool() { return *current_pool; }

/// Runs the cases that `filter` names on a pool with `options`; the same calls on all ranks.
/// @returns the program's status.
inline int run_cases(int argc, char** argv, const std::string& filter = "*", PoolOptions options = {}) {
  return run(
      argc, argv,
      [&](Pool& pool) {
        int count = argc;
        testing::InitGoogleTest(&count, argv);
        if (filter != "*") testing::GTEST_FLAG(filter) = filter;
        current_pool = &pool;
        const int status = RUN_ALL_TESTS();
        current_pool = nullptr;
        const int ran = testing::UnitTest::GetInstance()->test_to_run_count();
        if (ran == 0) std::cerr << "no case is called " << filter << '\n';
        return ran == 0 ? EXIT_FAILURE : status;
      },
      std::move(options));
}

inline int sleep_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return ms;
}

/// Squares all numbers but one.
inline int fail_at(int bad, int i) {
  if (i == bad) throw std::out_of_range("task " + std::to_string(i));
  return square(i);
}

/// A file that tasks on any rank of this machine append to.
class ScratchFile {
 public:
  ScratchFile() {
    char name[] = "/tmp/scratch-of-a-test-XXXXXX";
    const int file = mkstemp(name);
    if (file < 0) throw std::runtime_error("no scratch file in /tmp");
    ::close(file);
    path_ = name;
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile() { std::remove(path_.c_str()); }

  [[nodiscard]] const std::string& path() const { return path_; }

  [[nodiscard]] std::string content() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

  /// @returns the words in it, as numbers.
  template <class Container>
  [[nodiscard]] Container numbers() const {
    std::istringstream text(content());
    Container all;
    for (typename Container::value_type number{}; text >> number;) all.insert(all.end(), number);
    return all;
  }

 private:
  std::string path_;
};

/// Adds a line to a file at once, also when other processes do the same.
inline void append_line(const std::string& path, const std::string& line) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  const std::string text = line + "\n";
  const ssize_t written = file >= 0 ? ::write(file, text.data(), text.size()) : -1;
  if (file >= 0) ::close(file);
  if (written != static_cast<ssize_t>(text.size())) throw std::runtime_error("can't write to " + path);
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Waits until something holds, though not for ever.
inline bool eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

/// @returns the text of the Caught that `act` throws; fails where it throws none.
template <class Caught, class Act>
std::string text_of_thrown(const Act& act) {
  try {
    act();
  } catch (const Caught& error) {
    return error.what();
  } catch (...) {
    ADD_FAILURE() << "thrown was another exception: " << detail::text_of(std::current_exception());
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

template <class Caught>
bool is_a(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const Caught&) {
    return true;
  } catch (...) {
  }
  return false;
}

}  // namespace rankpool::test
