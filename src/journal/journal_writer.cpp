// The thread that writes what was recorded.
#include <algorithm>
#include <iterator>
#include <numeric>
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
  bool is_first_dropped = false;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_bytes_ + bytes > most_bytes && waiting_bytes_ != 0) {
      is_first_dropped = dropped_ == 0;
      dropped_ += record.inputs.size();
    } else {
      waiting_bytes_ += bytes;
      waiting_.push_back(std::move(record));
      is_enough = waiting_bytes_ >= enough_bytes && waiting_bytes_ - bytes < enough_bytes;
    }
  }
  if (is_enough) news_.notify_one();
  if (is_first_dropped) {
    warn_("results come faster than the disk takes them: some will not be in the journal " + path_ +
          ", and their tasks run again next time");
  }
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
  for (bool last = false; !last;) {
    const auto is_due = [this] {
      return stops_ || wanted_rounds_ > begun_rounds_ || (state_ == State::serving && waiting_bytes_ >= enough_bytes);
    };
    news_.wait_for(lock, flush_interval, is_due);
    last = stops_;
    ++begun_rounds_;
    std::vector<Record> batch = std::exchange(waiting_, {});
    const std::size_t bytes = std::exchange(waiting_bytes_, 0);
    lock.unlock();
    std::ranges::sort(batch, {}, [](const Record& record) { return std::pair(record.call, record.first); });
    const State state = write(batch);
    lock.lock();
    finish_round(state, std::move(batch), bytes);
  }
  const std::uint64_t left = std::accumulate(waiting_.begin(), waiting_.end(), dropped_,
                                             [](auto sum, const Record& at) { return sum + at.inputs.size(); });
  if (left != 0 && !owner_.is_lost()) {
    warn_("the journal " + path_ + " lacks " + support::in_words(left, "result") +
          " that could not be written; their tasks run again next time");
  }
}

void Journal::finish_round(State state, std::vector<Record> batch, std::size_t bytes) {
  state_ = state;
  if (state == State::failing) {
    batch.insert(batch.end(), std::move_iterator(waiting_.begin()), std::move_iterator(waiting_.end()));
    waiting_ = std::move(batch);
    waiting_bytes_ += bytes;
  }
  rounds_ = begun_rounds_;
  written_.notify_all();
}

Journal::State Journal::write(const std::vector<Record>& batch) {
  if (batch.empty() || owner_.is_lost()) return state_;
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
  return State::serving;
}

/// @param batch in the order of its tasks.
void Journal::write_rows(const std::vector<Record>& batch) {
  Transaction whole(database_);
  Statement insert = database_.prepare(
      "INSERT INTO results(call, first, count, inputs, encoded, sum) VALUES(?1, ?2, ?3, ?4, ?5, ?6)"
      " ON CONFLICT(call, first) DO UPDATE SET count = excluded.count, inputs = excluded.inputs,"
      " encoded = excluded.encoded, sum = excluded.sum WHERE excluded.count >= count");
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
        .bind(6, std::int64_t{sum_of(joined.inputs, joined.encoded)})
        .run();
  }
  whole.commit();
}

}  // namespace rankpool::journal
