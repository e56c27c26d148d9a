// The journals that a pool has open, each once.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "journal/journal.hpp"

namespace rankpool::journal {

/// All members may be called from any thread.
class Journals {
 public:
  explicit Journals(Journal::Warn warn) : warn_(std::move(warn)) {}

  /// Opens the file where that has not been done.
  /// @throws what Journal's open() and open_call() throw.
  [[nodiscard]] std::shared_ptr<CallLog> open_call(const std::string& path, const CallIdentity& identity);

  /// Returns when all that was recorded is on disk, or can't be written.
  void flush();

  /// Each has a thread.
  [[nodiscard]] std::size_t count() const;

 private:
  Journal::Warn warn_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Journal>> open_;  ///< by the file's one name
};

}  // namespace rankpool::journal
