/// @file
/// What a task has printed leaves its executor when it ends. Most tasks print nothing, so the question whether there is
/// anything is asked in line.
#pragma once

#include <cstdio>

#include <rankpool/export.hpp>

namespace rankpool::detail {

/// Writes out what stands in the buffers of stdout, stderr and their C++ streams. Cheap when that is nothing.
/// @returns streams_collect()
RANKPOOL_API bool flush_output() noexcept;

/// Whether what is printed may stand elsewhere than in the narrow buffers of stdout and stderr: where a C++ stream has
/// a buffer of its own, or a C stream is wide. As long as they are synchronised with C's, C++ streams collect nothing.
RANKPOOL_API bool streams_collect() noexcept;

/// The same where no task has run in this executor since its last flush_output(), and so at the beginning of a chunk.
RANKPOOL_API bool streams_collect_still() noexcept;

/// Flushes the output of tasks, each task's when it ends. A local variable of the loop over them stays in registers.
class TaskOutput {
 public:
  enum class Since { chunk_began, other_tasks_ran };
  explicit TaskOutput(Since since) noexcept
      : stdout_(quiet(stdout, since == Since::chunk_began ? streams_collect_still() : streams_collect())) {}

  /// To be called when a task ends, which may have closed or replaced the streams.
  void flush() noexcept {
    if (may_hold_text(stdout, stdout_) || may_hold_text(stderr, stderr_)) [[unlikely]] {
      stdout_ = quiet(stdout, flush_output());
      stderr_ = quiet(stderr, false);
    }
  }

 private:
  /// Where the stream puts the next character as long as there is nothing to flush.
  static const char* quiet([[maybe_unused]] const std::FILE* stream, [[maybe_unused]] bool others_hold_text) noexcept {
#ifdef __GLIBC__
    static constexpr char nowhere = 0;
    return others_hold_text ? &nowhere : stream->_IO_write_base;
#else
    return nullptr;
#endif
  }

  static bool may_hold_text([[maybe_unused]] const std::FILE* stream, [[maybe_unused]] const char* quiet) noexcept {
#ifdef __GLIBC__
    return stream->_IO_write_ptr != quiet;
#else
    return true;
#endif
  }

  const char* stdout_;
  const char* stderr_ = quiet(stderr, false);
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
