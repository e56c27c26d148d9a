// The part of a journal that is one call's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "journal/identity.hpp"

namespace rankpool::journal {

class Journal;

/// Encoded results of consecutive tasks.
struct KeptResults {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
  std::vector<std::byte> encoded;
};

/// All members may be called from any thread; find(), by one at a time.
class CallLog {
 public:
  /// @param call its row. @param random_numbers as they were when it was made first.
  CallLog(std::shared_ptr<Journal> journal, std::int64_t call, const CallIdentity& identity,
          std::uint64_t random_numbers);
  CallLog(const CallLog&) = delete;
  CallLog& operator=(const CallLog&) = delete;
  ~CallLog();

  /// The call's number in the pool now, and that of its random numbers.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] std::uint64_t random_numbers() const { return random_numbers_; }

  /// Results that an earlier run has kept, of the tasks from `first` on whose inputs have these hashes.
  /// @throws JournalError when a task's input was another one, or the file can't be read.
  [[nodiscard]] std::vector<KeptResults> find(std::uint64_t first, std::span<const Hash> inputs);

  /// Keeps results; they are on disk within Journal::flush_interval.
  void record(std::uint64_t first, std::span<const Hash> inputs, Bytes encoded);

 private:
  struct Row {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    [[nodiscard]] std::uint64_t end() const { return first + count; }
  };
  /// A row with what it holds.
  struct Content {
    Row row;
    std::vector<Hash> inputs;
    std::vector<std::byte> encoded;
    std::vector<std::size_t> offsets;  ///< of the results, and their end
  };
  void load(const Row& row);
  void drop(const Row& row);
  [[nodiscard]] bool is_whole(Content& content, std::int64_t sum) const;

  std::shared_ptr<Journal> journal_;
  std::int64_t call_;
  std::string key_;
  std::size_t stride_;
  std::uint64_t number_;
  std::uint64_t random_numbers_;
  std::vector<Row> rows_;          ///< of earlier runs, in their order
  std::optional<Content> loaded_;  ///< the row looked at last, if it makes sense
};

}  // namespace rankpool::journal
