// What an executor leaves behind for the error of the task that it died of, in the channel's memory: the last that the
// task wrote to stderr, and the stack of its crash.
//
//   executor   appends to the text as it is written to stderr; its crash handler dumps the stack
//   zygote     names the modules of the stack's addresses: it has them where the executor has them
//   leader     reads
//
// The executor may die between any two instructions, and a task that has gone astray may write anything here: readers
// trust no number and no byte of it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <rankpool/detail/code_address.hpp>

#include "host/progress.hpp"

namespace rankpool::host {

/// The last of what a task wrote to stderr, in a ring. Each write says how far the executor had come, so that nothing
/// need be done when a task begins: what an earlier task wrote is told by that.
class StderrTail {
 public:
  static constexpr std::uint64_t most_bytes = 2048;
  static constexpr std::string_view cut_mark = "...";  ///< before a line whose beginning is lost
  static constexpr std::size_t longest_text = most_bytes + cut_mark.size();

  /// The executor's side; one thread at a time, as the C stream's lock has it. Async-signal-safe.
  void append(std::string_view text, Progress progress) noexcept;
  /// For the next executor of the slot.
  void clear() noexcept;

  /// The last that was written at `progress`: whole lines, but for one that is longer than there is room for; without
  /// the newline at the end, with '?' for control characters.
  [[nodiscard]] std::string written_at(Progress progress) const;

 private:
  // Positions count all bytes ever written.
  std::atomic<std::uint64_t> writer_tail_{0};      ///< progress at the last write
  std::atomic<std::uint64_t> writer_finished_{0};  ///< the same
  std::atomic<std::uint64_t> begin_{0};            ///< of what was written at that progress
  std::atomic<std::uint64_t> reserved_{0};         ///< what is most_bytes before it may be overwritten by now
  std::atomic<std::uint64_t> end_{0};
  std::array<char, most_bytes> ring_{};
};

/// The stack of a crash. It counts as far as it goes: the handler that writes it may fail half-way itself.
class CrashDump {
 public:
  static constexpr std::size_t most_frames = 64;
  static constexpr std::size_t longest_abort_message = 255;
  using Frames = std::array<const void*, most_frames>;

  // The crash handler's side; async-signal-safe.

  /// The process is about to die of `signal` at the instruction `at`; 0 where that can't be known.
  void begin(int signal, std::uint64_t at) noexcept;
  /// It had come there by a call at `call`, and there is no code.
  void set_stray_call(std::uint64_t target, std::uint64_t call) noexcept;
  /// To be filled with addresses, up to a null one; those before `at` are the handler's.
  [[nodiscard]] Frames& frames() noexcept { return frames_; }
  /// The module of a frame, for one that was loaded after the zygote was forked.
  void name_module(std::size_t frame, std::string_view file, std::uint64_t offset) noexcept;
  /// What the C library says when it aborts, which does not go through the C stream.
  void set_abort_message(std::string_view text) noexcept;

  // The zygote's side.

  /// Names the modules of the frames as far as this process knows them.
  void name_known_modules() noexcept;
  /// For the next executor of the slot.
  void clear() noexcept;

  // The leader's side, about a process that `signal` has killed.

  /// The stack, the innermost frame first; each address lies within the frame's instruction, which is a call in all but
  /// the first. One without a module is an absolute one. Empty where there is no dump.
  [[nodiscard]] std::vector<detail::CodeAddress> stack(int signal) const;
  /// On one line; empty where there is none.
  [[nodiscard]] std::string abort_message(int signal) const;

 private:
  static constexpr std::uint64_t no_stray_call = ~std::uint64_t{0};

  std::atomic<int> signal_{0};  ///< 0: no crash
  std::atomic<std::uint64_t> at_{0};
  std::atomic<std::uint64_t> stray_call_{no_stray_call};
  Frames frames_{};
  std::array<detail::CodeAddress, most_frames> places_{};
  std::array<char, longest_abort_message + 1> abort_message_{};
};

/// Of one executor slot.
struct LastWords {
  StderrTail errors;
  CrashDump crash;

  void clear() noexcept {
    errors.clear();
    crash.clear();
  }
};

}  // namespace rankpool::host
