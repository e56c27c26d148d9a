#include "journal/call_log.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <rankpool/detail/call.hpp>
#include <rankpool/errors.hpp>

#include "journal/journal.hpp"
#include "support/encoded_results.hpp"

namespace rankpool::journal {

CallLog::CallLog(std::shared_ptr<Journal> journal, std::int64_t call, const CallIdentity& identity,
                 std::uint64_t random_numbers)
    : journal_(std::move(journal)),
      call_(call),
      key_(identity.key),
      stride_(identity.result_stride),
      number_(identity.number),
      random_numbers_(random_numbers) {
  Statement select = journal_->database_.prepare(
      "SELECT first, count FROM results WHERE call = ?1 AND first >= 0 AND count > 0 AND length(inputs) = 8 * count"
      " ORDER BY first");
  select.bind(1, call_);
  while (select.step()) {
    const Row row{static_cast<std::uint64_t>(select.number(0)), static_cast<std::uint64_t>(select.number(1))};
    // What doesn't make sense is done again.
    if (rows_.empty() || row.first >= rows_.back().end()) rows_.push_back(row);
  }
}

// The engine's lock may be held: nothing here waits for the disk.
CallLog::~CallLog() {
  const std::lock_guard lock(journal_->mutex_);
  journal_->running_.erase(key_);
}

std::vector<KeptResults> CallLog::find(std::uint64_t first, std::span<const Hash> inputs) {
  std::vector<KeptResults> found;
  const std::uint64_t end = first + inputs.size();
  auto row = std::ranges::partition_point(rows_, [first](const Row& before) { return before.end() <= first; });
  for (; row != rows_.end() && row->first < end; ++row) {
    load(*row);
    if (!loaded_) continue;
    const std::uint64_t from = std::max(first, row->first);
    const std::uint64_t to = std::min(end, row->end());
    for (std::uint64_t task = from; task != to; ++task) {
      if (loaded_->inputs[task - row->first] == inputs[task - first]) continue;
      throw JournalError("the input of task " + std::to_string(task) + " of the call " + key_ +
                         " is not the one that " + "the journal " + journal_->path() +
                         " has a result for. Give it the inputs of then, or use a new journal or .journal_key.");
    }
    const auto begin = loaded_->encoded.begin();
    const auto offset = [this, row](std::uint64_t task) {
      return static_cast<std::ptrdiff_t>(loaded_->offsets[task - row->first]);
    };
    found.push_back({.first = from, .count = to - from, .encoded = {begin + offset(from), begin + offset(to)}});
  }
  return found;
}

void CallLog::record(std::uint64_t first, std::span<const Hash> inputs, Bytes encoded) {
  journal_->add({.call = call_,
                 .first = first,
                 .inputs = {inputs.begin(), inputs.end()},
                 .encoded = {encoded.begin(), encoded.end()}});
}

void CallLog::load(const Row& row) {
  if (loaded_ && loaded_->row.first == row.first) return;
  loaded_.reset();
  Content content{.row = row, .inputs = {}, .encoded = {}, .offsets = {}};
  std::int64_t sum = 0;
  try {
    const std::lock_guard lock(journal_->database_mutex_);
    Statement& select = *journal_->select_;
    select.reset();
    if (!select.bind(1, call_).bind(2, static_cast<std::int64_t>(row.first)).step()) return;
    const Bytes inputs = select.bytes(0);
    const Bytes encoded = select.bytes(1);
    content.inputs.resize(inputs.size() / sizeof(Hash));
    std::memcpy(content.inputs.data(), inputs.data(), content.inputs.size() * sizeof(Hash));
    content.encoded.assign(encoded.begin(), encoded.end());
    sum = select.number(2);
    select.reset();
  } catch (const DatabaseError& error) {
    throw JournalError("the journal " + journal_->path() + " can't be read: " + error.what() +
                       " (rankpool-journal check says more)");
  }
  if (is_whole(content, sum)) {
    loaded_ = std::move(content);
  } else {
    drop(row);
  }
}

/// Its tasks run again, and their results are to take its place.
void CallLog::drop(const Row& row) {
  const std::lock_guard lock(journal_->database_mutex_);
  try {
    journal_->database_.prepare("DELETE FROM results WHERE call = ?1 AND first = ?2")
        .bind(1, call_)
        .bind(2, static_cast<std::int64_t>(row.first))
        .run();
  } catch (const DatabaseError&) {  // NOLINT(bugprone-empty-catch): then it is found bad the next time, too
  }
}

/// Finds the results' places. @returns false where the bytes are not those that were written.
bool CallLog::is_whole(Content& content, std::int64_t sum) const {
  if (content.inputs.size() != content.row.count || sum_of(content.inputs, content.encoded) != sum) return false;
  Bytes rest = content.encoded;
  for (std::uint64_t i = 0; i < content.row.count; ++i) {
    content.offsets.push_back(content.encoded.size() - rest.size());
    const auto others = support::after_result(rest, stride_);
    if (!others) return false;
    rest = *others;
  }
  content.offsets.push_back(content.encoded.size());
  return rest.empty();
}

}  // namespace rankpool::journal
