// RAII over libsqlite3: a connection and its statements. Private to recording; the only header of
// the project that sees sqlite3.h. One thread per connection.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "memspy/result.h"

namespace memspy::recording {

// A prepared statement. Parameters and columns count as SQLite's do: parameters from 1, columns
// from 0. Bound text and blobs are not copied: they must outlive the next run() or step().
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* raw) : raw_(raw) {}

  bool valid() const { return raw_ != nullptr; }
  Statement& bind(int at, std::int64_t value);
  Statement& bind(int at, double value);
  Statement& bind_text(int at, std::string_view text);
  Statement& bind_blob(int at, std::string_view bytes);
  Statement& bind_null(int at);

  // Steps once: SQLITE_ROW, SQLITE_DONE or an error code.
  int step() { return sqlite3_step(raw_.get()); }
  // Runs a statement that returns no rows and makes it ready for the next; the result code.
  int run();
  void reset() { sqlite3_reset(raw_.get()); }

  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string bytes(int column) const;  // of a text or a blob
  int column_count() const { return sqlite3_column_count(raw_.get()); }
  std::string column_name(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* raw) const { sqlite3_finalize(raw); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> raw_;
};

class Database {
 public:
  // `flags` as sqlite3_open_v2 takes them. The error's code is kInternal: callers know better.
  static Result<Database> open(const std::string& path, int flags);

  // Several statements in one text; the result code.
  int exec(const std::string& sql);
  // A statement that is not valid() when the SQL cannot be compiled.
  Statement prepare(const std::string& sql);
  // The value of a one-row, one-column query; `otherwise` when there is none.
  std::int64_t query_integer(const std::string& sql, std::int64_t otherwise);
  std::string query_text(const std::string& sql);

  // SQLite's words for the last failure on this connection, and the errno behind it (0: none).
  std::string last_message() const { return sqlite3_errmsg(raw_.get()); }
  int last_errno() const { return sqlite3_system_errno(raw_.get()); }
  int last_code() const { return sqlite3_errcode(raw_.get()); }
  sqlite3* raw() const { return raw_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* raw) const { sqlite3_close_v2(raw); }
  };
  std::unique_ptr<sqlite3, Close> raw_;
};

}  // namespace memspy::recording
