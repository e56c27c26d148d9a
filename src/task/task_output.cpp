#include <rankpool/detail/task_output.hpp>

#include <stdio_ext.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cwchar>
#include <iostream>

#include "task/this_task.hpp"

#ifdef __GLIBC__
// The streams that are open; exported, but not declared.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
std::FILE* _IO_iter_begin();
std::FILE* _IO_iter_end();
std::FILE* _IO_iter_next(std::FILE*);
void _IO_list_lock();
void _IO_list_unlock();
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}
#endif

namespace rankpool::detail {
namespace {

/// Looks at the memory in which a stream collects what is written, which a stream on stdio has not.
template <class Character>
class PutArea : public std::basic_streambuf<Character> {
 public:
  using Stream = std::basic_ostream<Character>;

  static bool exists(const Stream& stream) noexcept {
    // Through a pointer to member: the one way to a protected member of an object that is not a PutArea.
    const auto* buffer = stream.rdbuf();
    return buffer != nullptr && (buffer->*&PutArea::epptr)() != nullptr;
  }

  /// Ten times faster than a flush of nothing. @returns whether the stream has such memory.
  static bool flush(Stream& stream) noexcept {
    if (!exists(stream)) return false;
    const auto* buffer = stream.rdbuf();
    if ((buffer->*&PutArea::pptr)() == (buffer->*&PutArea::pbase)()) return true;
    try {
      stream.flush();
    } catch (...) {  // NOLINT(bugprone-empty-catch): a task whose text has nowhere to go still has its result
    }
    return true;
  }
};

using Narrow = PutArea<char>;
using Wide = PutArea<wchar_t>;

constexpr std::array<std::ostream*, 3> narrow_streams{&std::cout, &std::cerr, &std::clog};
constexpr std::array<std::wostream*, 3> wide_streams{&std::wcout, &std::wcerr, &std::wclog};

/// What flush_output() has seen last; until then they may.
std::atomic<bool> collecting = true;

/// The C library's own, on which std::wcerr is, whatever stderr is by now.
std::FILE* const first_stderr = stderr;

#ifdef __GLIBC__

// Without calls, for the end of every chunk.
bool is_wide(const std::FILE* stream) noexcept { return stream->_mode > 0; }

bool has_pending(std::FILE* stream) noexcept {
  return is_wide(stream) ? __fpending(stream) > 0 : stream->_IO_write_ptr != stream->_IO_write_base;
}

bool is_open(const std::FILE* stream) noexcept {
  // Almost always: an executor's is the last that was opened before its tasks.
  if (_IO_iter_begin() == stream) return true;
  _IO_list_lock();
  std::FILE* open = _IO_iter_begin();
  while (open != _IO_iter_end() && open != stream) open = _IO_iter_next(open);
  _IO_list_unlock();
  return open == stream;
}

/// A task may have opened stderr anew and then closed it: that leaves the C library's own stream in place, but frees
/// any other, which must not even be looked at then.
void forget_closed_stderr() noexcept {
  if (stderr != first_stderr && !is_open(stderr)) stderr = first_stderr;
}

#else
bool is_wide(std::FILE* stream) noexcept { return std::fwide(stream, 0) > 0; }
bool has_pending(std::FILE* stream) noexcept { return __fpending(stream) > 0; }
void forget_closed_stderr() noexcept {}
#endif

}  // namespace

bool streams_collect_still() noexcept {
  // Elsewhere others than tasks may have changed the streams.
  return task::is_executor() ? collecting.load(std::memory_order_relaxed) : streams_collect();
}

bool streams_collect() noexcept {
  return std::ranges::any_of(narrow_streams, [](const auto* stream) { return Narrow::exists(*stream); }) ||
         std::ranges::any_of(wide_streams, [](const auto* stream) { return Wide::exists(*stream); }) ||
         is_wide(stdout) || is_wide(stderr) || is_wide(first_stderr);
}

bool flush_output() noexcept {
  bool any = false;
  for (auto* stream : narrow_streams) any |= Narrow::flush(*stream);
  for (auto* stream : wide_streams) any |= Wide::flush(*stream);
  forget_closed_stderr();
  for (std::FILE* file : {stdout, stderr, first_stderr}) {
    any |= is_wide(file);
    if (has_pending(file)) std::fflush(file);
  }
  collecting.store(any, std::memory_order_relaxed);
  return any;
}

}  // namespace rankpool::detail
