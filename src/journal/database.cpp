#include "journal/database.hpp"

#include <utility>

#include <sqlite3.h>

namespace rankpool::journal {
namespace {

// Readers, such as rankpool-journal, hold the file for moments.
constexpr int patience_ms = 10'000;

}  // namespace

bool DatabaseError::is_about_content() const {
  const int primary = code_ & 0xff;
  return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB || primary == SQLITE_ERROR;
}

// The rollback journal, a file beside, is not left there.
void Database::Close::operator()(sqlite3* database) const noexcept {
  sqlite3_exec(database, "PRAGMA journal_mode = DELETE", nullptr, nullptr, nullptr);
  sqlite3_close_v2(database);
}

void Database::fail(sqlite3* database, int code) {
  const int extended = database == nullptr ? code : sqlite3_extended_errcode(database);
  throw DatabaseError(extended, database == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(database));
}

// A rollback journal and locks of the file are all that is used: no memory shared through a file, which NFS and Lustre
// don't have.
Database::Database(const std::string& path, const char* system) {
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &opened,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, system);
  database_.reset(opened);
  if (code != SQLITE_OK) fail(opened, code);
  sqlite3_busy_timeout(opened, patience_ms);
  execute("PRAGMA journal_mode = TRUNCATE");
  execute("PRAGMA synchronous = FULL");
  execute("PRAGMA mmap_size = 0");
}

void Database::execute(const char* sql) {
  if (const int code = sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr); code != SQLITE_OK) {
    fail(database_.get(), code);
  }
}

std::int64_t Database::number(const char* sql) {
  Statement statement = prepare(sql);
  return statement.step() ? statement.number(0) : 0;
}

Statement Database::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(database_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) fail(database_.get(), code);
  return Statement(statement);
}

std::int64_t Database::last_row() const { return sqlite3_last_insert_rowid(database_.get()); }

void Statement::Finalize::operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }

void Statement::check(int code) {
  if (code != SQLITE_OK) Database::fail(sqlite3_db_handle(statement_.get()), code);
}

Statement& Statement::bind(int parameter, std::int64_t value) {
  check(sqlite3_bind_int64(statement_.get(), parameter, value));
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view value) {
  check(sqlite3_bind_text64(statement_.get(), parameter, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

// Without bytes it is still a blob, where a null pointer would make it NULL.
Statement& Statement::bind(int parameter, std::span<const std::byte> value) {
  const void* const data = value.empty() ? static_cast<const void*>("") : value.data();
  check(sqlite3_bind_blob64(statement_.get(), parameter, data, value.size(), SQLITE_STATIC));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  sqlite3* const database = sqlite3_db_handle(statement_.get());
  const DatabaseError error(sqlite3_extended_errcode(database), sqlite3_errmsg(database));
  reset();  // which changes the message
  throw error;
}

void Statement::run() {
  step();
  reset();
}

void Statement::reset() noexcept {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

std::int64_t Statement::number(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::string Statement::text(int column) const {
  const auto* const characters = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  return characters == nullptr
             ? std::string()
             : std::string(characters, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column)));
}

std::span<const std::byte> Statement::bytes(int column) const {
  const auto* const data = static_cast<const std::byte*>(sqlite3_column_blob(statement_.get(), column));
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  try {
    database_->execute("ROLLBACK");
  } catch (const DatabaseError&) {  // some errors have rolled back already
  }
}

void Transaction::commit() {
  database_->execute("COMMIT");
  database_ = nullptr;
}

}  // namespace rankpool::journal
