// Results on disk: what a call's tasks returned is kept in a file, so that the same program, run again after whatever
// has ended it, does only what is left.
//
//   Engine ──CallLog::record──► waiting records ──writer thread, each second──► Database: rows of consecutive tasks
//   Engine ◄──CallLog::find──── rows of earlier runs ◄─────────────────────────────┘
//
// A file holds many calls, each under its key. A row has the hashes of its tasks' inputs, which must be the same when
// the results are wanted again. Only one living process writes a file (Owner).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "journal/call_log.hpp"
#include "journal/database.hpp"
#include "journal/identity.hpp"
#include "journal/owner.hpp"

namespace rankpool::journal {

/// An open file, and the thread that writes it. All members may be called from any thread.
class Journal : public std::enable_shared_from_this<Journal> {
 public:
  /// What has finished may be lost if the process is killed within this time.
  static constexpr std::chrono::milliseconds flush_interval{1000};

  using Warn = std::function<void(const std::string&)>;

  /// @param warn told, by any thread, when results can't be written.
  /// @throws JournalError where the file can't be used, is none of rankpool's, damaged, or in use.
  static std::shared_ptr<Journal> open(const std::string& path, Warn warn, Owner::Patience patience = {});
  /// For open().
  Journal(const std::string& path, Warn warn, Owner::Patience patience);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  /// Writes what is left.
  ~Journal();

  /// @throws JournalError where the call under that key was another one, or still runs.
  [[nodiscard]] std::unique_ptr<CallLog> open_call(const CallIdentity& identity);

  /// Returns when all that was recorded before is on disk, or can't be written.
  void flush();

  [[nodiscard]] const std::string& path() const { return path_; }

  /// Of all journals of the process.
  [[nodiscard]] static std::ptrdiff_t threads() {
    constexpr std::ptrdiff_t of_each = 2;  // one that writes, and one that beats
    return of_each * open_journals;
  }

 private:
  friend class CallLog;

  enum class State {
    serving,
    failing  ///< what was to be written last waits for another try
  };

  /// Results that are to be written.
  struct Record {
    std::int64_t call;
    std::uint64_t first;
    std::vector<Hash> inputs;
    std::vector<std::byte> encoded;
  };

  static void refuse_others(const std::string& path);
  void set_up();
  std::unique_ptr<CallLog> make_log(const CallIdentity& identity);
  /// @returns the call's place, and the number of its random numbers.
  std::pair<std::int64_t, std::uint64_t> row_of(const CallIdentity& identity);
  std::int64_t add_call(const CallIdentity& identity);
  [[noreturn]] void refuse(const CallIdentity& identity, const std::string& difference) const;

  // The writer (journal_writer.cpp).
  void add(Record record);
  void write_on();
  State write(const std::vector<Record>& batch);
  void write_rows(const std::vector<Record>& batch);
  void finish_round(State state, std::vector<Record> batch, std::size_t bytes);

  static inline std::atomic<std::ptrdiff_t> open_journals = 0;

  std::string path_;
  Warn warn_;
  Owner owner_;

  std::mutex database_mutex_;  ///< held while the disk is waited for
  Database database_;
  std::optional<Statement> select_;  ///< a row

  std::mutex mutex_;
  std::set<std::string> running_;  ///< keys of calls that run
  std::set<std::string> known_;    ///< keys of calls that have run, too
  std::condition_variable news_;
  std::condition_variable written_;
  std::vector<Record> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::uint64_t wanted_rounds_ = 0;  ///< of writing: flush() waits for the next one to begin and end
  std::uint64_t begun_rounds_ = 0;
  std::uint64_t rounds_ = 0;
  bool stops_ = false;
  State state_ = State::serving;
  std::uint64_t dropped_ = 0;  ///< results for which there was no room
  std::thread writer_;
};

}  // namespace rankpool::journal
