// SQLite, as the journal needs it. Errors are thrown as DatabaseError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace rankpool::journal {

/// What SQLite says went wrong.
class DatabaseError : public std::runtime_error {
 public:
  DatabaseError(int code, const std::string& text) : std::runtime_error(text), code_(code) {}
  /// The file holds something else, or is damaged, as opposed to: could not be reached, or has no room.
  [[nodiscard]] bool is_about_content() const;

 private:
  int code_;
};

class Statement;

/// An open file. Not thread-safe.
class Database {
 public:
  /// @param system of SQLite's interfaces to files; null: its own choice.
  explicit Database(const std::string& path, const char* system = nullptr);

  void execute(const char* sql);
  [[nodiscard]] std::int64_t number(const char* sql);
  [[nodiscard]] Statement prepare(const char* sql);
  [[nodiscard]] std::int64_t last_row() const;

 private:
  friend class Statement;
  struct Close {
    void operator()(sqlite3* database) const noexcept;
  };
  [[noreturn]] static void fail(sqlite3* database, int code);

  std::unique_ptr<sqlite3, Close> database_;
};

/// A statement that may be run again and again. Its database must outlive it.
class Statement {
 public:
  /// Parameters are numbered from 1. What is bound must live until the next reset().
  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, std::string_view value);
  Statement& bind(int parameter, std::span<const std::byte> value);

  /// @returns whether there is a row.
  bool step();
  /// For a statement that has no rows: runs it, and makes it ready for the next time.
  void run();
  void reset() noexcept;

  /// Columns are numbered from 0; what they refer to lives until the next step() or reset().
  [[nodiscard]] std::int64_t number(int column) const;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] std::span<const std::byte> bytes(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  void check(int code);

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// What is done in its life is done as a whole or, unless commit() is called, not at all.
class Transaction {
 public:
  explicit Transaction(Database& database) : database_(&database) { database.execute("BEGIN IMMEDIATE"); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  void commit();

 private:
  Database* database_;
};

}  // namespace rankpool::journal
