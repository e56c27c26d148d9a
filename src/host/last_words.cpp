#include "host/last_words.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <iterator>
#include <optional>

#include "task/code_location.hpp"

namespace rankpool::host {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// The handler itself, and what the kernel has it return to.
constexpr std::ptrdiff_t handlers_frames = 2;

// What one process writes and another one reads after its death needs no more than the compiler's good will.
void keep_order() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

constexpr bool is_printable(char c) {
  const auto code = static_cast<unsigned char>(c);
  constexpr unsigned char first_printable = 0x20;
  constexpr unsigned char del = 0x7f;
  return c == '\n' || c == '\t' || (code >= first_printable && code != del);
}

void make_printable(std::string& text) {
  std::ranges::replace_if(
      text, [](char c) { return !is_printable(c); }, '?');
}

void strip_newlines(std::string& text) { text.erase(text.find_last_not_of('\n') + 1); }

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

template <std::size_t size>
std::string_view text_in(const std::array<char, size>& text) {
  return {text.data(), static_cast<std::size_t>(std::distance(text.begin(), std::ranges::find(text, '\0')))};
}

template <std::size_t size>
void put_text(std::array<char, size>& to, std::string_view text) noexcept {
  const std::size_t kept = std::min(text.size(), size - 1);
  if (kept != 0) std::memcpy(to.data(), text.data(), kept);
  to[kept] = '\0';
}

std::uint64_t number_of(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

}  // namespace

void StderrTail::append(std::string_view text, Progress progress) noexcept {
  const std::uint64_t end = end_.load(relaxed);
  if (writer_tail_.load(relaxed) != progress.tail || writer_finished_.load(relaxed) != progress.finished) {
    begin_.store(end, relaxed);
    keep_order();
    writer_tail_.store(progress.tail, relaxed);
    writer_finished_.store(progress.finished, relaxed);
  }
  const std::uint64_t new_end = end + text.size();
  reserved_.store(new_end, relaxed);
  keep_order();
  text = text.substr(text.size() - std::min<std::size_t>(text.size(), most_bytes));
  const std::size_t at = (new_end - text.size()) % most_bytes;
  const std::size_t before_wrap = std::min<std::size_t>(text.size(), most_bytes - at);
  if (before_wrap != 0) std::memcpy(ring_.data() + at, text.data(), before_wrap);
  if (before_wrap != text.size()) std::memcpy(ring_.data(), text.data() + before_wrap, text.size() - before_wrap);
  keep_order();
  end_.store(new_end, relaxed);
}

void StderrTail::clear() noexcept {
  begin_.store(0, relaxed);
  reserved_.store(0, relaxed);
  end_.store(0, relaxed);
}

std::string StderrTail::written_at(Progress progress) const {
  if (writer_tail_.load(relaxed) != progress.tail || writer_finished_.load(relaxed) != progress.finished) return {};
  const std::uint64_t begin = begin_.load(relaxed);
  const std::uint64_t end = end_.load(relaxed);
  const std::uint64_t reserved = reserved_.load(relaxed);
  const std::uint64_t from = std::max(begin, reserved - std::min(reserved, most_bytes));
  if (from >= end || end > reserved) return {};
  std::string text;
  text.reserve(end - from);
  for (std::uint64_t i = from; i != end; ++i) text += ring_[i % most_bytes];
  if (from != begin) {
    const std::size_t line = text.find('\n') + 1;  // 0: none
    if (line != 0 && line != text.size()) {
      text.erase(0, line);
    } else {
      text.insert(0, cut_mark);
    }
  }
  strip_newlines(text);
  make_printable(text);
  return text;
}

void CrashDump::begin(int signal, std::uint64_t at) noexcept {
  at_.store(at, relaxed);
  stray_call_.store(no_stray_call, relaxed);
  // In case that the handler comes no further.
  frames_[0] = reinterpret_cast<const void*>(at);  // NOLINT(performance-no-int-to-ptr): an address, taken as a number
  keep_order();
  signal_.store(signal, relaxed);
}

void CrashDump::set_stray_call(std::uint64_t target, std::uint64_t call) noexcept {
  stray_call_.store(target, relaxed);
  at_.store(call, relaxed);
}

void CrashDump::name_module(std::size_t frame, std::string_view file, std::uint64_t offset) noexcept {
  detail::CodeAddress& place = places_[frame];
  put_text(place.name, file_name(file));
  place.offset = offset;
}

void CrashDump::set_abort_message(std::string_view text) noexcept { put_text(abort_message_, text); }

void CrashDump::name_known_modules() noexcept {
  if (signal_.load(relaxed) == 0) return;
  for (std::size_t i = 0; i < most_frames && frames_[i] != nullptr; ++i) {
    if (const auto known = task::locate(frames_[i])) places_[i] = *known;
  }
}

void CrashDump::clear() noexcept {
  if (signal_.load(relaxed) == 0) return;
  signal_.store(0, relaxed);
  frames_.fill(nullptr);
  places_.fill({});
  abort_message_.fill('\0');
}

std::vector<detail::CodeAddress> CrashDump::stack(int signal) const {
  if (signal == 0 || signal_.load(relaxed) != signal) return {};
  const auto* const end = std::ranges::find(frames_, nullptr);
  const std::uint64_t at = at_.load(relaxed);
  const auto* const first =
      at == 0 ? std::next(frames_.begin(), std::min(handlers_frames, end - frames_.begin()))
              : std::find_if(frames_.begin(), end, [at](const void* f) { return number_of(f) == at; });
  std::vector<detail::CodeAddress> stack;
  const std::uint64_t stray = stray_call_.load(relaxed);
  if (stray != no_stray_call) stack.push_back({.module = 0, .offset = stray, .name = {}});
  for (const auto* frame = first; frame != end; ++frame) {
    detail::CodeAddress place = places_[static_cast<std::size_t>(frame - frames_.begin())];
    place.name.back() = '\0';
    for (char& c : place.name) {
      if (c != '\0' && (!is_printable(c) || c == '\n')) c = '?';
    }
    if (place.name.front() == '\0') place = {.module = 0, .offset = number_of(*frame), .name = {}};
    if (frame != first)
      --place.offset;  // there the call returns to, which may be the next function's first instruction
    stack.push_back(place);
  }
  return stack;
}

std::string CrashDump::abort_message(int signal) const {
  if (signal != SIGABRT || signal_.load(relaxed) != SIGABRT) return {};
  std::string text(text_in(abort_message_));
  strip_newlines(text);
  std::ranges::replace(text, '\n', ' ');
  make_printable(text);
  return text;
}

}  // namespace rankpool::host
