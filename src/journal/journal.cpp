#include "journal/journal.hpp"

#include <fcntl.h>

#include <array>
#include <bit>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

#include <boost/crc.hpp>

#include <rankpool/errors.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "journal/call_log.hpp"
#include "support/signal_mask.hpp"
#include "support/unique_fd.hpp"

namespace rankpool::journal {
namespace {

// "rkpl": tells a journal from other files of SQLite's.
constexpr std::uint32_t application_id = 0x726b706c;
constexpr std::int64_t format = 1;

constexpr const char* tables =
    "PRAGMA application_id = 0x726b706c;"
    "PRAGMA user_version = 1;"
    // random_numbers: the number of the call in its pool, with which its tasks drew random numbers at first.
    "CREATE TABLE calls(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, what TEXT NOT NULL, build INTEGER NOT NULL,"
    " function INTEGER NOT NULL, callable INTEGER NOT NULL, result_type TEXT NOT NULL, result_stride INTEGER NOT NULL,"
    " seed INTEGER NOT NULL, random_numbers INTEGER NOT NULL, began TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);"
    // Consecutive tasks: the hash of each one's input, their encoded results one after the other, and a check sum.
    "CREATE TABLE results(call INTEGER NOT NULL REFERENCES calls, first INTEGER NOT NULL, count INTEGER NOT NULL,"
    " inputs BLOB NOT NULL, encoded BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY(call, first));";

std::int64_t stored(std::uint64_t number) { return std::bit_cast<std::int64_t>(number); }

/// Whether the file may be one of ours, by its first bytes: others must not be touched. What a process was writing when
/// it was killed is for SQLite to say.
bool may_be_journal(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 100> header{};
  file.read(header.data(), header.size());
  if (file.gcount() == 0) return true;
  std::uint32_t id = 0;
  for (std::size_t i = 68; i < 72; ++i) id = id << 8U | static_cast<unsigned char>(header[i]);
  if (std::string_view(header.data(), header.size()).starts_with("SQLite format 3") && id == application_id)
    return true;
  std::error_code unknown;
  return std::filesystem::file_size(path + "-journal", unknown) > 0 && !unknown;
}

/// Whether the file system knows locks. Network file systems may not, or only with a daemon that isn't there: SQLite
/// takes that for a file that another process has locked.
bool can_be_locked(const std::string& file) {
  const support::UniqueFd opened(open(file.c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  if (!opened || fcntl(opened.get(), F_SETLK, &lock) == 0) return true;
  return errno != ENOLCK && errno != ENOSYS && errno != EOPNOTSUPP && errno != EINVAL;
}

}  // namespace

Hash hash_of(Bytes bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::uint32_t sum_of(std::span<const Hash> inputs, Bytes encoded) {
  boost::crc_32_type sum;
  sum.process_bytes(inputs.data(), inputs.size_bytes());
  sum.process_bytes(encoded.data(), encoded.size());
  return sum.checksum();
}

std::shared_ptr<Journal> Journal::open(const std::string& path, Warn warn, Owner::Patience patience) {
  try {
    return std::make_shared<Journal>(path, std::move(warn), patience);
  } catch (const DatabaseError& error) {
    throw JournalError(
        "the journal " + path + " can't be used: " + error.what() +
        (error.is_about_content() ? "; it is damaged, or no journal (rankpool-journal check says more)" : ""));
  } catch (const std::system_error& error) {
    throw JournalError("the journal " + path + " can't be used: " + error.what());
  }
}

Journal::Journal(const std::string& path, Warn warn, Owner::Patience patience)
    : path_(path),
      warn_(std::move(warn)),
      owner_(
          path,
          [this] {
            warn_("another process has taken the journal " + path_ +
                  " over, because it has not heard of this one for long; results are not kept any more");
          },
          patience),
      // Without locks of the database the owner's file still sees to it that there is one writer.
      database_((refuse_others(path), path), can_be_locked(owner_.file()) ? nullptr : "unix-none") {
  set_up();
  const support::SignalMask none(support::all_signals());  // they are for the program's threads
  writer_ = std::thread([this] { write_on(); });
  ++open_journals;
}

Journal::~Journal() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  news_.notify_one();
  writer_.join();
  --open_journals;
}

void Journal::refuse_others(const std::string& path) {
  if (may_be_journal(path)) return;
  throw JournalError(path + " is no journal of rankpool's; nothing was written to it. Choose another file.");
}

void Journal::set_up() {
  if (database_.number("SELECT count(*) FROM sqlite_master") == 0) {
    Transaction whole(database_);
    database_.execute(tables);
    whole.commit();
  }
  if (const std::int64_t found = database_.number("PRAGMA user_version"); found != format) {
    throw JournalError("the journal " + path_ + " is of format " + std::to_string(found) +
                       ", and this rankpool knows " + std::to_string(format));
  }
  select_ = database_.prepare("SELECT inputs, encoded, sum FROM results WHERE call = ?1 AND first = ?2");
}

std::unique_ptr<CallLog> Journal::open_call(const CallIdentity& identity) {
  if (owner_.is_lost()) throw JournalError("another process has taken the journal " + path_ + " over");
  bool is_known = false;
  {
    const std::lock_guard lock(mutex_);
    is_known = !known_.insert(identity.key).second;
    if (!running_.insert(identity.key).second) {
      throw JournalError("tasks of an earlier call under the key " + identity.key + " of the journal " + path_ +
                         " still run; wait for them, or give this call another .journal_key");
    }
  }
  try {
    // What an earlier call under the same key has just finished is to be found.
    if (is_known) flush();
    return make_log(identity);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    running_.erase(identity.key);
    throw;
  }
}

std::unique_ptr<CallLog> Journal::make_log(const CallIdentity& identity) {
  const std::lock_guard lock(database_mutex_);
  try {
    const auto [row, random_numbers] = row_of(identity);
    return std::make_unique<CallLog>(shared_from_this(), row, identity, random_numbers);
  } catch (const DatabaseError& error) {
    throw JournalError("the journal " + path_ + " can't be used: " + error.what());
  }
}

std::pair<std::int64_t, std::uint64_t> Journal::row_of(const CallIdentity& identity) {
  Statement found = database_.prepare(
      "SELECT id, build, function, callable, result_type, result_stride, seed, random_numbers FROM calls"
      " WHERE key = ?1");
  if (!found.bind(1, std::string_view(identity.key)).step()) return {add_call(identity), identity.number};
  const std::int64_t id = found.number(0);
  const bool same_build = found.number(1) == stored(identity.build);
  if (!same_build && !identity.is_named) {
    refuse(identity,
           "was made by another build of the program; if its tasks still do the same, give the call a "
           ".journal_key, and what is there the same one: rankpool-journal rename " +
               path_ + " '" + identity.key + "' KEY");
  }
  if (same_build && found.number(2) != stored(identity.function)) refuse(identity, "ran another function");
  if (same_build && found.number(3) != stored(identity.callable)) {
    refuse(identity, "ran another function, or one with other values captured or bound");
  }
  if (found.text(4) != identity.result_type || found.number(5) != stored(identity.result_stride)) {
    refuse(identity, "gave results of type " + found.text(4) + " (" + std::to_string(found.number(5)) +
                         " bytes), not " + identity.result_type);
  }
  if (found.number(6) != stored(identity.seed)) {
    refuse(identity, "had the seed " + std::to_string(static_cast<std::uint64_t>(found.number(6))) + ", not " +
                         std::to_string(identity.seed));
  }
  if (!same_build) {
    database_.prepare("UPDATE calls SET build = ?1, function = ?2, callable = ?3 WHERE id = ?4")
        .bind(1, stored(identity.build))
        .bind(2, stored(identity.function))
        .bind(3, stored(identity.callable))
        .bind(4, id)
        .run();
  }
  return {id, static_cast<std::uint64_t>(found.number(7))};
}

std::int64_t Journal::add_call(const CallIdentity& identity) {
  database_
      .prepare(
          "INSERT INTO calls(key, what, build, function, callable, result_type, result_stride, seed, random_numbers)"
          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
      .bind(1, std::string_view(identity.key))
      .bind(2, std::string_view(identity.what))
      .bind(3, stored(identity.build))
      .bind(4, stored(identity.function))
      .bind(5, stored(identity.callable))
      .bind(6, std::string_view(identity.result_type))
      .bind(7, stored(identity.result_stride))
      .bind(8, stored(identity.seed))
      .bind(9, stored(identity.number))
      .run();
  return database_.last_row();
}

void Journal::refuse(const CallIdentity& identity, const std::string& difference) const {
  throw JournalError("the call " + identity.key + " in the journal " + path_ + ' ' + difference +
                     (identity.is_named ? ". Use another .journal_key, or a new journal."
                                        : ". Calls without a .journal_key are told apart by their order."));
}

}  // namespace rankpool::journal
