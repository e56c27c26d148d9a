#include <rankpool/detail/task_output.hpp>

#include <stdio_ext.h>

#include <array>
#include <cstdio>
#include <cwchar>
#include <iostream>

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

}  // namespace

bool streams_collect() noexcept {
  for (const auto* stream : narrow_streams) {
    if (Narrow::exists(*stream)) return true;
  }
  for (const auto* stream : wide_streams) {
    if (Wide::exists(*stream)) return true;
  }
  return std::fwide(stdout, 0) > 0 || std::fwide(stderr, 0) > 0;
}

void flush_output() noexcept {
  for (auto* stream : narrow_streams) Narrow::flush(*stream);
  for (auto* stream : wide_streams) Wide::flush(*stream);
  for (std::FILE* file : {stdout, stderr}) {
    if (__fpending(file) > 0) std::fflush(file);
  }
}

}  // namespace rankpool::detail
