#include "host/stderr_tail.hpp"

#include <unistd.h>
#include <ext/stdio_filebuf.h>
#include <ext/stdio_sync_filebuf.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <iostream>
#include <ostream>
#include <streambuf>
#include <string_view>

#include <rankpool/detail/home_process.hpp>

namespace rankpool::host {

#ifdef __GLIBC__

namespace {

/// The C++ streams that write to stderr.
constexpr std::array<std::ostream*, 2> cpp_streams{&std::cerr, &std::clog};

/// What stands between a task and descriptor 2; one for the process's life.
struct Tee {
  Channel* channel = nullptr;
  std::uint32_t slot = 0;
  detail::HomeProcess home;
  std::FILE* stream = nullptr;  ///< stderr, until a task closes it
  std::FILE* before = nullptr;  ///< the C library's own
  std::array<std::streambuf*, cpp_streams.size()> buffers_before{};
};

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): handlers and C streams know no other way
Tee tee;
std::atomic<bool> being_written = false;  ///< what stands in the stream's buffer, and is kept already
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

void keep(std::string_view text) noexcept {
  // Several forks would write at once.
  if (!tee.home.is_here()) return;
  tee.channel->last_words(tee.slot).errors.append(text, tee.channel->progress(tee.slot));
}

/// As the C library's own streams do it.
ssize_t write_all(const char* text, std::size_t size) noexcept {
  std::size_t written = 0;
  while (written < size) {
    const ssize_t bytes = write(STDERR_FILENO, text + written, size - written);
    if (bytes < 0) break;
    written += static_cast<std::size_t>(bytes);
  }
  return static_cast<ssize_t>(written);
}

ssize_t write_and_keep(void* /*cookie*/, const char* text, std::size_t size) noexcept {
  // First: the write may be what the task dies of, or what stops it.
  keep({text, size});
  being_written = true;
  const ssize_t written = write_all(text, size);
  being_written = false;
  return written;
}

/// Whether the buffer is libstdc++'s own on the stream.
bool is_librarys(std::streambuf* buffer, std::FILE* stream) {
  if (auto* synchronised = dynamic_cast<__gnu_cxx::stdio_sync_filebuf<char>*>(buffer)) {
    return synchronised->file() == stream;
  }
  auto* own = dynamic_cast<__gnu_cxx::stdio_filebuf<char>*>(buffer);
  return own != nullptr && own->fd() == STDERR_FILENO;
}

void redirect_cpp_streams(std::FILE* to) {
  // Never destroyed: a task's exit() writes out its streams late.
  static auto& buffer = *new __gnu_cxx::stdio_sync_filebuf<char>(to);
  for (std::size_t i = 0; i < cpp_streams.size(); ++i) {
    std::ostream& stream = *cpp_streams[i];
    if (!is_librarys(stream.rdbuf(), tee.before)) continue;
    stream.flush();
    tee.buffers_before[i] = stream.rdbuf(&buffer);
    stream << std::nounitbuf;  // the C stream knows lines
  }
}

/// The task closes stderr: what comes later finds it closed, not freed.
int close_all(void* /*cookie*/) noexcept {
  for (std::size_t i = 0; i < cpp_streams.size(); ++i) {
    if (tee.buffers_before[i] != nullptr) cpp_streams[i]->rdbuf(tee.buffers_before[i]);
  }
  if (stderr == tee.stream) stderr = tee.before;
  tee.stream = nullptr;
  return std::fclose(tee.before);
}

std::FILE* open_tee() {
  const cookie_io_functions_t functions{.read = nullptr, .write = write_and_keep, .seek = nullptr, .close = close_all};
  // Never closed, for what it lends.
  const std::FILE* ordinary = fdopen(STDERR_FILENO, "w");
  std::FILE* stream = ordinary == nullptr ? nullptr : fopencookie(nullptr, "w", functions);
  if (stream == nullptr) return nullptr;
  // What the stream stands for: fileno() tells it, and freopen() opens it anew.
  stream->_fileno = STDERR_FILENO;
  // A cookie's stream is narrow for ever, and where the memory for wide characters should be is nothing: freopen()
  // would write there. With an ordinary stream's, the first wide character makes it such a stream of the descriptor.
  stream->_wide_data = ordinary->_wide_data;
  stream->_mode = 0;
  constexpr std::size_t longest_line = 65536;
  static std::array<char, longest_line> buffer;
  std::setvbuf(stream, buffer.data(), _IOLBF, buffer.size());
  return stream;
}

}  // namespace

void keep_stderr(Channel& channel, std::uint32_t slot) noexcept {
  tee = {.channel = &channel, .slot = slot, .home = {}, .stream = nullptr, .before = stderr, .buffers_before = {}};
  // Wide already, or the program's own.
  if (std::fwide(stderr, 0) > 0 || fileno(stderr) != STDERR_FILENO) return;
  try {
    tee.stream = open_tee();
    if (tee.stream == nullptr) return;
    std::fflush(tee.before);
    redirect_cpp_streams(tee.stream);
    stderr = tee.stream;
  } catch (...) {  // NOLINT(bugprone-empty-catch): without memory for it, a task's text is not kept
  }
}

void give_unwritten_stderr() noexcept {
  std::FILE* stream = tee.stream;
  if (stream == nullptr || stream != stderr || being_written) return;
  if (stream->_IO_write_ptr <= stream->_IO_write_base) return;
  const auto size = static_cast<std::size_t>(stream->_IO_write_ptr - stream->_IO_write_base);
  keep({stream->_IO_write_base, size});
  // The C library's own stderr has no buffer, and would have shown it.
  write_all(stream->_IO_write_base, size);
  write_all("\n", 1);
  stream->_IO_write_ptr = stream->_IO_write_base;
}

#else

// Other C libraries' stderr is not to be assigned to.
void keep_stderr(Channel&, std::uint32_t) noexcept {}
void give_unwritten_stderr() noexcept {}

#endif

}  // namespace rankpool::host
