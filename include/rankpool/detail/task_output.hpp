/// @file
/// What a task has printed leaves its executor when it ends. Most tasks print nothing, so the question whether there is
/// anything is asked in line.
#pragma once

#include <cstdio>

#include <rankpool/export.hpp>

namespace rankpool::detail {

/// Writes out what stands in the buffers of stdout, stderr and their C++ streams. Cheap when that is nothing.
RANKPOOL_API void flush_output() noexcept;

/// Whether what is printed may stand elsewhere than in the narrow buffers of stdout and stderr: where a C++ stream has
/// a buffer of its own, or a C stream is wide.
RANKPOOL_API bool streams_collect() noexcept;

/// Flushes the output of the tasks of one chunk, each task's when it ends.
class TaskOutput {
 public:
  TaskOutput() = default;
  TaskOutput(const TaskOutput&) = delete;
  TaskOutput& operator=(const TaskOutput&) = delete;
  /// For a task that has just given the streams a memory of their own.
  ~TaskOutput() { flush_output(); }

  /// To be called when a task ends.
  void flush() const noexcept {
    if (streams_collect_ || pending(stdout) || pending(stderr)) [[unlikely]]
      flush_output();
  }

 private:
  [[nodiscard]] static bool pending([[maybe_unused]] const std::FILE* file) noexcept {
#ifdef __GLIBC__
    return file->_IO_write_ptr != file->_IO_write_base;
#else
    return true;
#endif
  }

  // As long as they are synchronised with C's, C++ streams collect nothing, and need no look after each task.
  bool streams_collect_ = streams_collect();
};

}  // namespace rankpool::detail
