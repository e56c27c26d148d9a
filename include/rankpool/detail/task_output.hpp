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
/// a buffer of its own, or a C stream is wide. As long as they are synchronised with C's, C++ streams collect nothing.
RANKPOOL_API bool streams_collect() noexcept;

/// stdout or stderr, and where it puts the next character as long as there is nothing to flush.
class QuietStream {
 public:
  /// As it is now.
  static QuietStream of_stdout() noexcept { return {stdout, streams_collect()}; }
  static QuietStream of_stderr() noexcept { return {stderr, false}; }

  [[nodiscard]] bool may_hold_text() const noexcept {
#ifdef __GLIBC__
    return file_->_IO_write_ptr != quiet_;
#else
    return true;
#endif
  }

 private:
  QuietStream(const std::FILE* file, [[maybe_unused]] bool others_hold_text) noexcept : file_(file) {
#ifdef __GLIBC__
    static constexpr char nowhere = 0;
    quiet_ = others_hold_text ? &nowhere : file->_IO_write_base;
#endif
  }

  const std::FILE* file_;
  const char* quiet_ = nullptr;
};

/// Flushes the output of tasks, each task's when it ends. A local variable of the loop over them stays in registers.
class TaskOutput {
 public:
  /// To be called when a task ends.
  void flush() noexcept {
    if (stdout_.may_hold_text() || stderr_.may_hold_text()) [[unlikely]] {
      flush_output();
      stdout_ = QuietStream::of_stdout();
      stderr_ = QuietStream::of_stderr();
    }
  }

 private:
  QuietStream stdout_ = QuietStream::of_stdout();
  QuietStream stderr_ = QuietStream::of_stderr();
};

/// Flushes what is left at the end of a chunk, where a task has just given the streams a memory of their own.
class ChunkOutput {
 public:
  ChunkOutput() = default;
  ChunkOutput(const ChunkOutput&) = delete;
  ChunkOutput& operator=(const ChunkOutput&) = delete;
  ~ChunkOutput() { flush_output(); }
};

}  // namespace rankpool::detail
