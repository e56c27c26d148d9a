/// @file
/// What a task has printed leaves its executor when it ends. Most tasks print nothing, so the question whether there is
/// anything is asked in line.
#pragma once

#include <cstdio>
#include <ostream>
#include <streambuf>

#include <rankpool/export.hpp>

namespace rankpool::detail {

/// Flushes the C and C++ standard streams.
RANKPOOL_API void flush_task_output() noexcept;

/// std::cout and std::clog, without <iostream> in every user's file.
RANKPOOL_API extern std::ostream* const standard_output;
RANKPOOL_API extern std::ostream* const standard_log;

/// Looks at the memory in which a C++ stream collects what is written.
class PutArea : public std::streambuf {
 public:
  [[nodiscard]] static bool exists(const std::ostream& stream) noexcept {
    // Through a pointer to member: the one way to a protected member of an object that is not a PutArea.
    const std::streambuf* buffer = stream.rdbuf();
    return buffer != nullptr && (buffer->*&PutArea::epptr)() != nullptr;
  }

  [[nodiscard]] static bool pending(const std::ostream& stream) noexcept {
    const std::streambuf* buffer = stream.rdbuf();
    return buffer != nullptr && (buffer->*&PutArea::pptr)() != (buffer->*&PutArea::pbase)();
  }
};

/// Flushes the output of the tasks of one chunk, each task's when it ends.
class TaskOutput {
 public:
  TaskOutput() = default;
  TaskOutput(const TaskOutput&) = delete;
  TaskOutput& operator=(const TaskOutput&) = delete;
  ~TaskOutput() {
    // For a task that has just given the streams a memory of their own.
    if (c_pending() || streams_pending()) flush_task_output();
  }

  /// To be called when a task ends.
  void flush() const noexcept {
    if (c_pending() || (streams_collect_ && streams_pending())) [[unlikely]]
      flush_task_output();
  }

 private:
  [[nodiscard]] static bool c_pending() noexcept {
#ifdef __GLIBC__
    return stdout->_IO_write_ptr != stdout->_IO_write_base || stderr->_IO_write_ptr != stderr->_IO_write_base;
#else
    return true;
#endif
  }

  [[nodiscard]] static bool streams_pending() noexcept {
    return PutArea::pending(*standard_output) || PutArea::pending(*standard_log);
  }

  // As long as they are synchronised with C's, C++ streams collect nothing, and need no look after each task.
  bool streams_collect_ = PutArea::exists(*standard_output) || PutArea::exists(*standard_log);
};

}  // namespace rankpool::detail
