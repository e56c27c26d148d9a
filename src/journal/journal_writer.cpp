// The thread that writes what was recorded.
#include <algorithm>
#include <iterator>
#include <utility>

#include "journal/journal.hpp"
#include "support/text.hpp"

namespace rankpool::journal {
namespace {

// Written before the second is over.
constexpr std::size_t enough_bytes = std::size_t{8} << 20U;
// While they can't be written, results are kept up to here.
constexpr std::size_t most_bytes = std::size_t{256} << 20U;
// Rows of fewer bytes are joined.
constexpr std::size_t row_bytes = std::size_t{1} << 20U;
// What SQLite takes as one value.
constexpr std::size_t largest_row = std::size_t{900} << 20U;

std::span<const std::byte> as_bytes(const std::vector<Hash>& hashes) { return std::as_bytes(std::span(hashes)); }

}  // namespace

void Journal::add(Record record) {
  const std::size_t bytes = record.encoded.size() + record.inputs.size() * sizeof(Hash);
  bool is_enough = false;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_bytes_ + bytes > most_bytes && state_ != State::serving) return;
    waiting_bytes_ += bytes;
    waiting_.push_back(std::move(record));
    is_enough = waiting_bytes_ >= enough_bytes && waiting_bytes_ - bytes < enough_bytes;
  }
  if (is_enough) news_.notify_one();
}

void Journal::flush() {
  std::unique_lock lock(mutex_);
  if (waiting_.empty() && rounds_ == begun_rounds_) return;
  const std::uint64_t wanted = wanted_rounds_ = begun_rounds_ + 1;
  news_.notify_one();
  written_.wait(lock, [&] { return rounds_ >= wanted; });
}

void Journal::write_on() {
  std::unique_lock lock(mutex_);
  while (true) {
    const auto is_due = [this] {
      return stops_ || wanted_rounds_ > begun_rounds_ || (state_ == State::serving && waiting_bytes_ >= enough_bytes);
    };
    news_.wait_for(lock, flush_interval, is_due);
    const bool last = stops_;
    ++begun_rounds_;
    std::vector<Record> batch = std::exchange(waiting_, {});
    const std::size_t bytes = std::exchange(waiting_bytes_, 0);
    lock.unlock();
    const State state = write(batch);
    lock.lock();
    state_ = state;
    if (state == State::failing) {
      batch.insert(batch.end(), std::move_iterator(waiting_.begin()), std::move_iterator(waiting_.end()));
      waiting_ = std::move(batch);
      waiting_bytes_ += bytes;
    }
    rounds_ = begun_rounds_;
    written_.notify_all();
    if (last) break;
  }
  if (!waiting_.empty()) {
    warn_("the journal " + path_ + " lacks results that could not be written; their tasks run again next time");
  }
}

/// @param batch what is left of it could not be written.
Journal::State Journal::write(std::vector<Record>& batch) {
  if (state_ == State::taken_over) return State::taken_over;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_beat_ > Owner::between_beats) {
    last_beat_ = now;
    if (!owner_.beat()) {
      warn_("another process has taken the journal " + path_ +
            " over, because this one was silent for too long; results are not kept any more");
      return State::taken_over;
    }
  }
  if (batch.empty()) return state_;
  try {
    const std::lock_guard lock(database_mutex_);
    write_rows(batch);
  } catch (const std::exception& error) {
    if (state_ != State::failing) {
      warn_("the journal " + path_ + " can't be written: " + error.what() +
            "; the program goes on, and tries again each second");
    }
    return State::failing;
  }
  batch.clear();
  return State::serving;
}

void Journal::write_rows(std::vector<Record>& batch) {
  std::ranges::sort(batch, {}, [](const Record& record) { return std::pair(record.call, record.first); });
  Transaction whole(database_);
  Statement insert = database_.prepare(
      "INSERT OR REPLACE INTO results(call, first, count, inputs, encoded) VALUES(?1, ?2, ?3, ?4, ?5)");
  for (auto at = batch.begin(); at != batch.end();) {
    Record joined{.call = at->call, .first = at->first, .inputs = at->inputs, .encoded = at->encoded};
    for (++at; at != batch.end() && at->call == joined.call && at->first == joined.first + joined.inputs.size() &&
               joined.encoded.size() + at->encoded.size() <= row_bytes;
         ++at) {
      joined.inputs.insert(joined.inputs.end(), at->inputs.begin(), at->inputs.end());
      joined.encoded.insert(joined.encoded.end(), at->encoded.begin(), at->encoded.end());
    }
    if (joined.encoded.size() > largest_row) {
      warn_("a result of " + support::in_words(joined.encoded.size(), "byte") + " is too large for the journal " +
            path_ + "; its task runs again next time");
      continue;
    }
    insert.bind(1, joined.call)
        .bind(2, static_cast<std::int64_t>(joined.first))
        .bind(3, static_cast<std::int64_t>(joined.inputs.size()))
        .bind(4, as_bytes(joined.inputs))
        .bind(5, std::span<const std::byte>(joined.encoded))
        .run();
  }
  whole.commit();
}

}  // namespace rankpool::journal
