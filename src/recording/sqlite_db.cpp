#include "recording/sqlite_db.h"

#include <spdlog/fmt/fmt.h>

namespace memspy::recording {

Statement& Statement::bind(int at, std::int64_t value) {
  sqlite3_bind_int64(raw_.get(), at, value);
  return *this;
}

Statement& Statement::bind(int at, double value) {
  sqlite3_bind_double(raw_.get(), at, value);
  return *this;
}

// A view of no bytes may have a null pointer, which SQLite would store as NULL.
Statement& Statement::bind_text(int at, std::string_view text) {
  const char* data = text.empty() ? "" : text.data();
  sqlite3_bind_text64(raw_.get(), at, data, text.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind_blob(int at, std::string_view bytes) {
  const char* data = bytes.empty() ? "" : bytes.data();
  sqlite3_bind_blob64(raw_.get(), at, data, bytes.size(), SQLITE_STATIC);
  return *this;
}

Statement& Statement::bind_null(int at) {
  sqlite3_bind_null(raw_.get(), at);
  return *this;
}

int Statement::run() {
  const int code = sqlite3_step(raw_.get());
  // After a failed step, reset() repeats its code; after a good one it is OK.
  sqlite3_reset(raw_.get());
  sqlite3_clear_bindings(raw_.get());
  return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(raw_.get(), column) == SQLITE_NULL;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(raw_.get(), column);
}

double Statement::real(int column) const { return sqlite3_column_double(raw_.get(), column); }

std::string Statement::bytes(int column) const {
  // The blob first, then its length: the other order may count before a conversion.
  const void* data = sqlite3_column_blob(raw_.get(), column);
  const int size = sqlite3_column_bytes(raw_.get(), column);
  if (data == nullptr || size <= 0) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

std::string Statement::column_name(int column) const {
  const char* name = sqlite3_column_name(raw_.get(), column);
  return name == nullptr ? std::string() : std::string(name);
}

Result<Database> Database::open(const std::string& path, int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  Database db;
  db.raw_.reset(raw);  // to be closed even when opening failed
  if (code != SQLITE_OK) {
    const std::string reason = raw != nullptr ? sqlite3_errmsg(raw) : sqlite3_errstr(code);
    const int sys = raw != nullptr ? sqlite3_system_errno(raw) : 0;
    return make_error(Errc::kInternal, fmt::format("cannot open {} ({})", path, reason), sys);
  }
  return db;
}

int Database::exec(const std::string& sql) {
  return sqlite3_exec(raw_.get(), sql.c_str(), nullptr, nullptr, nullptr);
}

Statement Database::prepare(const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  sqlite3_prepare_v3(raw_.get(), sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  return Statement(raw);
}

std::int64_t Database::query_integer(const std::string& sql, std::int64_t otherwise) {
  Statement query = prepare(sql);
  if (!query.valid() || query.step() != SQLITE_ROW || query.is_null(0)) return otherwise;
  return query.integer(0);
}

std::string Database::query_text(const std::string& sql) {
  Statement query = prepare(sql);
  return query.valid() && query.step() == SQLITE_ROW ? query.bytes(0) : std::string();
}

}  // namespace memspy::recording
