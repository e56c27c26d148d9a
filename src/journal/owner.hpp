// Who writes a journal: one living process. A file beside it, "<journal>.lock", says which; it is made such that only
// one can make it, also on file systems without locks.
//
// The owner writes a number that grows into the file every few seconds. Whoever finds the file asks the kernel whether
// the owner lives, where it is one of its own, and watches the number otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace rankpool::journal {

/// The right to write a journal, until it is destroyed.
class Owner {
 public:
  /// Between two beats, at most. An owner elsewhere that keeps silent for `silence` is taken for dead.
  static constexpr std::chrono::seconds between_beats{3};
  static constexpr std::chrono::seconds silence{15};

  /// Waits up to `silence`, where the last owner was on another machine.
  /// @throws JournalError naming the living owner; std::system_error where the file can't be made.
  explicit Owner(const std::string& journal);
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  ~Owner();

  /// Tells others that this process lives.
  /// @returns false when another process has taken it for dead, and the journal over.
  bool beat() noexcept;

 private:
  std::string path_;
  std::string name_;
  std::uint64_t beats_ = 0;
};

}  // namespace rankpool::journal
