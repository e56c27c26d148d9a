// Who writes a journal: one living process. A file beside it, "<journal>.lock", says which; it is made such that only
// one can make it, also on file systems without locks.
//
// The owner writes a number that grows into the file every few seconds. Whoever finds the file asks the kernel whether
// the owner lives, where it is one of its own, and watches the number otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace rankpool::journal {

/// The right to write a journal, until it is destroyed or lost.
class Owner {
 public:
  struct Patience {
    std::chrono::milliseconds between_beats{3000};
    /// An owner elsewhere that keeps silent for so long is taken for dead.
    std::chrono::milliseconds silence{30'000};
  };

  /// Waits, as long as an owner may be silent, where the last one was on another machine.
  /// @param on_loss called once, by a thread of its own, when another process has taken this one for dead.
  /// @throws JournalError naming the living owner; std::system_error where the file can't be made or read.
  Owner(const std::string& journal, std::function<void()> on_loss, Patience patience);
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  ~Owner();

  [[nodiscard]] bool is_lost() const { return lost_; }
  [[nodiscard]] const std::string& file() const { return path_; }  ///< beside the journal, which says who owns it

 private:
  void take(const std::string& journal);
  void beat_on();
  void beat();

  std::string path_;
  std::string name_;
  std::function<void()> on_loss_;
  Patience patience_;
  std::uint64_t beats_ = 0;
  std::atomic<bool> lost_ = false;
  std::mutex mutex_;
  std::condition_variable ends_;
  bool ended_ = false;
  std::thread beating_;
};

}  // namespace rankpool::journal
