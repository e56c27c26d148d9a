// The journals that a pool uses. A file is opened once in a process, and its calls are counted from the process's
// beginning, whichever pools make them.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "journal/journal.hpp"

namespace rankpool::journal {

/// All members may be called from any thread.
class Journals {
 public:
  /// @param warn may be called when this is no more.
  explicit Journals(Journal::Warn warn) : warn_(std::move(warn)) {}

  /// Opens the file where that has not been done.
  /// @param identity its key is empty where the user gave none.
  /// @throws what Journal's open() and open_call() throw.
  [[nodiscard]] std::shared_ptr<CallLog> open_call(const std::string& path, CallIdentity identity);

  /// Returns when all that was recorded is on disk, or can't be written.
  void flush();

 private:
  Journal::Warn warn_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Journal>> used_;  ///< by the file's one name
};

}  // namespace rankpool::journal
