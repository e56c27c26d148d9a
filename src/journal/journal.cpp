#include "journal/journal.hpp"

#include <sys/stat.h>

#include <bit>
#include <utility>

#include <rankpool/errors.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "journal/call_log.hpp"
#include "support/signal_mask.hpp"

namespace rankpool::journal {
namespace {

// "rkpl": tells a journal from other files of SQLite's.
constexpr std::int64_t application_id = 0x726b706c;
constexpr std::int64_t format = 1;

constexpr const char* tables =
    "CREATE TABLE calls(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, what TEXT NOT NULL, build INTEGER NOT NULL,"
    " function INTEGER NOT NULL, callable INTEGER NOT NULL, result_type TEXT NOT NULL, result_stride INTEGER NOT NULL,"
    " began TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);"
    // Consecutive tasks: the hash of each one's input, and their encoded results one after the other.
    "CREATE TABLE results(call INTEGER NOT NULL REFERENCES calls, first INTEGER NOT NULL, count INTEGER NOT NULL,"
    " inputs BLOB NOT NULL, encoded BLOB NOT NULL, PRIMARY KEY(call, first));"
    "PRAGMA application_id = 0x726b706c;"
    "PRAGMA user_version = 1;";

std::int64_t stored(std::uint64_t number) { return std::bit_cast<std::int64_t>(number); }

bool is_empty(const std::string& path) {
  struct stat file {};
  return stat(path.c_str(), &file) != 0 || file.st_size == 0;
}

}  // namespace

Hash hash_of(Bytes bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::shared_ptr<Journal> Journal::open(const std::string& path, Warn warn) {
  try {
    return std::make_shared<Journal>(path, std::move(warn));
  } catch (const DatabaseError& error) {
    throw JournalError(
        "the journal " + path + " can't be used: " + error.what() +
        (error.is_about_content() ? "; it is damaged, or no journal (rankpool-journal check says more)" : ""));
  } catch (const std::system_error& error) {
    throw JournalError("the journal " + path + " can't be used: " + error.what());
  }
}

Journal::Journal(const std::string& path, Warn warn)
    : path_(path), warn_(std::move(warn)), owner_(path), database_(path) {
  set_up();
  const support::SignalMask none(support::all_signals());  // they are for the program's threads
  writer_ = std::thread([this] { write_on(); });
}

Journal::~Journal() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  news_.notify_one();
  writer_.join();
}

void Journal::set_up() {
  if (is_empty(path_)) {
    Transaction whole(database_);
    database_.execute(tables);
    whole.commit();
  }
  if (database_.number("PRAGMA application_id") != application_id) {
    throw JournalError(path_ + " is no journal of rankpool's; nothing was written to it. Choose another file.");
  }
  if (const std::int64_t found = database_.number("PRAGMA user_version"); found != format) {
    throw JournalError("the journal " + path_ + " is of format " + std::to_string(found) +
                       ", and this rankpool knows " + std::to_string(format));
  }
}

std::unique_ptr<CallLog> Journal::open_call(CallIdentity identity) {
  if (identity.key.starts_with('#')) {
    throw std::invalid_argument("journal_key must not begin with #, as " + identity.key + " does");
  }
  // What an earlier call under the same key has just finished is to be found.
  flush();
  const std::lock_guard lock(database_mutex_);
  const bool has_key = !identity.key.empty();
  if (!has_key) identity.key = '#' + std::to_string(++calls_);
  if (running_.contains(identity.key)) {
    throw JournalError("a call under the key " + identity.key + " of the journal " + path_ + " runs already");
  }
  try {
    const std::int64_t row = row_of(identity, has_key);
    auto log = std::make_unique<CallLog>(shared_from_this(), row, identity);
    running_.insert(identity.key);
    return log;
  } catch (const DatabaseError& error) {
    throw JournalError("the journal " + path_ + " can't be used: " + error.what());
  }
}

std::int64_t Journal::row_of(const CallIdentity& identity, bool has_key) {
  Statement found =
      database_.prepare("SELECT id, build, function, callable, result_type, result_stride FROM calls WHERE key = ?1");
  if (!found.bind(1, std::string_view(identity.key)).step()) return add_call(identity);
  const std::int64_t id = found.number(0);
  const bool same_build = found.number(1) == stored(identity.build);
  if (!same_build && !has_key) {
    refuse(identity,
           "was made by another build of the program. Give each call a .journal_key if the tasks still do the "
           "same, or start with a new journal");
  }
  if (same_build && found.number(2) != stored(identity.function)) refuse(identity, "ran another function");
  if (same_build && found.number(3) != stored(identity.callable)) {
    refuse(identity, "had other values captured in, or bound to, its function");
  }
  if (found.text(4) != identity.result_type || found.number(5) != stored(identity.result_stride)) {
    refuse(identity, "gave results of type " + found.text(4) + ", not " + identity.result_type);
  }
  if (!same_build) {
    database_.prepare("UPDATE calls SET build = ?1, function = ?2, callable = ?3 WHERE id = ?4")
        .bind(1, stored(identity.build))
        .bind(2, stored(identity.function))
        .bind(3, stored(identity.callable))
        .bind(4, id)
        .run();
  }
  return id;
}

std::int64_t Journal::add_call(const CallIdentity& identity) {
  database_
      .prepare(
          "INSERT INTO calls(key, what, build, function, callable, result_type, result_stride)"
          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)")
      .bind(1, std::string_view(identity.key))
      .bind(2, std::string_view(identity.what))
      .bind(3, stored(identity.build))
      .bind(4, stored(identity.function))
      .bind(5, stored(identity.callable))
      .bind(6, std::string_view(identity.result_type))
      .bind(7, stored(identity.result_stride))
      .run();
  return database_.last_row();
}

void Journal::refuse(const CallIdentity& identity, const std::string& difference) const {
  throw JournalError("the call " + identity.key + " in the journal " + path_ + " " + difference +
                     ". Calls without a .journal_key are told apart by their order.");
}

}  // namespace rankpool::journal
