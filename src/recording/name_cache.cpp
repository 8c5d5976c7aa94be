#include "recording/name_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace memspy::recording {
namespace {

constexpr int kVersion = 1;
constexpr int kPatienceMilliseconds = 2000;  // for another memspy
constexpr std::int64_t kMostParts = 16;      // of one file: then they become one
constexpr const char* kTables = R"sql(
BEGIN IMMEDIATE;
CREATE TABLE parts(id INTEGER PRIMARY KEY, build_id TEXT NOT NULL, used INTEGER NOT NULL,
  names BLOB NOT NULL);
CREATE INDEX parts_of_file ON parts(build_id);
PRAGMA user_version = 1;
COMMIT;
)sql";

// One that another memspy is busy with is no damaged one.
Error not_opened(const std::string& path, const Database& db) {
  const int code = db.last_code();
  const bool damaged = code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
  return make_error(damaged ? Errc::kCorrupt : Errc::kOutput,
                    "cannot use " + path + " (" + db.last_message() + ")", db.last_errno());
}

}  // namespace

Result<NameCache> NameCache::open(const std::string& path, std::int64_t now) {
  // SQLite would make it for whoever the umask lets.
  if (!UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)).valid())
    return make_error(Errc::kOutput, "cannot make " + path, errno);
  MEMSPY_TRY(
      db, Database::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW));
  sqlite3_busy_timeout(db.raw(), kPatienceMilliseconds);
  // Should the machine fail the file may be lost; it is but a cache.
  db.exec("PRAGMA synchronous = OFF");
  constexpr std::int64_t kNotAnswered = -1;
  const std::int64_t tables = db.query_integer("SELECT count(*) FROM sqlite_master", kNotAnswered);
  if (tables == kNotAnswered) return not_opened(path, db);
  if (tables == 0 && db.exec(kTables) != SQLITE_OK) db.exec("ROLLBACK");  // another may have
  const std::int64_t version = db.query_integer("PRAGMA user_version", kNotAnswered);
  if (version == kNotAnswered) return not_opened(path, db);
  if (version != kVersion)
    return make_error(Errc::kCorrupt, path + " is no cache of names, or of another version");
  return NameCache(std::move(db), now);
}

// What was asked for today need not be said again.
void NameCache::note_use(const std::string& build_id) {
  Statement note = db_.prepare("UPDATE parts SET used = ? WHERE build_id = ? AND used < ?");
  if (!note.valid()) return;
  constexpr std::int64_t kDay = 24 * 3600;
  note.bind(1, now_).bind_text(2, build_id).bind(3, now_ - kDay);
  (void)note.run();
}

NameTable NameCache::load(const std::string& build_id) {
  NameTable names;
  Statement query = db_.prepare("SELECT names FROM parts WHERE build_id = ? ORDER BY id");
  if (!query.valid()) return names;
  query.bind_text(1, build_id);
  while (query.step() == SQLITE_ROW) (void)names.unpack(query.bytes(0));
  if (!names.empty()) note_use(build_id);
  return names;
}

bool NameCache::insert(const std::string& build_id, const NameTable& fresh) {
  Statement count = db_.prepare("SELECT count(*) FROM parts WHERE build_id = ?");
  Statement remove = db_.prepare("DELETE FROM parts WHERE build_id = ?");
  Statement add = db_.prepare("INSERT INTO parts(build_id, used, names) VALUES(?, ?, ?)");
  if (!count.valid() || !remove.valid() || !add.valid()) return false;
  count.bind_text(1, build_id);
  NameTable merged;
  const bool too_many = count.step() == SQLITE_ROW && count.integer(0) >= kMostParts;
  if (too_many) {
    merged = load(build_id);
    (void)merged.unpack(fresh.pack());
    remove.bind_text(1, build_id);
    if (remove.run() != SQLITE_OK) return false;
  }
  const std::string blob = (too_many ? merged : fresh).pack();
  add.bind_text(1, build_id).bind(2, now_);
  return add.bind_blob(3, blob).run() == SQLITE_OK;
}

bool NameCache::add(const std::string& build_id, const NameTable& fresh) {
  if (db_.exec("BEGIN IMMEDIATE") != SQLITE_OK) return false;
  if (insert(build_id, fresh) && db_.exec("COMMIT") == SQLITE_OK) return true;
  db_.exec("ROLLBACK");
  return false;
}

void NameCache::shrink(std::uint64_t most_bytes) {
  const auto page = static_cast<std::uint64_t>(db_.query_integer("PRAGMA page_size", 4096));
  const auto bytes = [&] {
    return page * static_cast<std::uint64_t>(db_.query_integer("PRAGMA page_count", 0) -
                                             db_.query_integer("PRAGMA freelist_count", 0));
  };
  bool any = false;
  while (bytes() > most_bytes) {
    // The oldest part goes with all of its file: half of the names are no better than none.
    if (db_.exec("DELETE FROM parts WHERE build_id = (SELECT build_id FROM parts GROUP BY build_id "
                 "ORDER BY max(used) LIMIT 1)") != SQLITE_OK ||
        sqlite3_changes(db_.raw()) == 0)
      break;
    any = true;
  }
  if (any) db_.exec("VACUUM");
}

}  // namespace memspy::recording
