#include <rankpool/detail/task_output.hpp>

#include <stdio_ext.h>
#include <array>
#include <cstdio>
#include <cwchar>
#include <iostream>

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

  /// Ten times faster than a flush of nothing.
  static void flush(Stream& stream) noexcept {
    const auto* buffer = stream.rdbuf();
    if (buffer == nullptr || (buffer->*&PutArea::pptr)() == (buffer->*&PutArea::pbase)()) return;
    try {
      stream.flush();
    } catch (...) {  // NOLINT(bugprone-empty-catch): a task whose text has nowhere to go still has its result
    }
  }
};

using Narrow = PutArea<char>;
using Wide = PutArea<wchar_t>;

constexpr std::array<std::ostream*, 3> narrow_streams{&std::cout, &std::cerr, &std::clog};
constexpr std::array<std::wostream*, 3> wide_streams{&std::wcout, &std::wcerr, &std::wclog};

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

bool streams_collect() noexcept {
  for (const auto* stream : narrow_streams) {
    if (Narrow::exists(*stream)) return true;
  }
  for (const auto* stream : wide_streams) {
    if (Wide::exists(*stream)) return true;
  }
  return is_wide(stdout) || is_wide(stderr) || is_wide(first_stderr);
}

void flush_output() noexcept {
  for (auto* stream : narrow_streams) Narrow::flush(*stream);
  for (auto* stream : wide_streams) Wide::flush(*stream);
  forget_closed_stderr();
  for (std::FILE* file : {stdout, stderr, first_stderr}) {
    if (has_pending(file)) std::fflush(file);
  }
}

}  // namespace rankpool::detail
