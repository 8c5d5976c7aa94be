#include "recording/schema.h"

#include "memspy/series.h"

namespace memspy::recording {
namespace {

// Ids of ours are INTEGER PRIMARY KEY, the rowid itself: no second index, rows in order of time.
constexpr const char* kTables = R"sql(
CREATE TABLE header(id INTEGER PRIMARY KEY, key TEXT NOT NULL, value);
CREATE TABLE summary(id INTEGER PRIMARY KEY, key TEXT NOT NULL, value);
CREATE TABLE ticks(id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL);
CREATE TABLE processes(id INTEGER PRIMARY KEY, tick INTEGER NOT NULL, process INTEGER NOT NULL,
  parent INTEGER NOT NULL, pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL, name TEXT NOT NULL,
  command_line BLOB NOT NULL, python_version TEXT NOT NULL, executable TEXT NOT NULL,
  first_seen_ns INTEGER NOT NULL);
CREATE TABLE threads(id INTEGER PRIMARY KEY, tick INTEGER NOT NULL, thread INTEGER NOT NULL,
  process INTEGER NOT NULL, tid INTEGER NOT NULL, name TEXT NOT NULL);
CREATE TABLE files(id INTEGER PRIMARY KEY, path TEXT NOT NULL);
CREATE TABLE frames(id INTEGER PRIMARY KEY, function TEXT NOT NULL, file INTEGER NOT NULL,
  line INTEGER NOT NULL, kind INTEGER NOT NULL);
CREATE TABLE modules(id INTEGER PRIMARY KEY, path TEXT NOT NULL, build_id TEXT NOT NULL);
CREATE TABLE addresses(id INTEGER PRIMARY KEY, module INTEGER NOT NULL, address INTEGER NOT NULL);
CREATE TABLE names(id INTEGER PRIMARY KEY, frame INTEGER NOT NULL, function TEXT NOT NULL,
  file TEXT NOT NULL, line INTEGER NOT NULL);
CREATE TABLE stacks(id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, frame INTEGER NOT NULL);
CREATE TABLE growth(id INTEGER PRIMARY KEY, tick INTEGER NOT NULL, time_ns INTEGER NOT NULL,
  records BLOB NOT NULL);
CREATE TABLE unattributed(id INTEGER PRIMARY KEY, tick INTEGER NOT NULL, time_ns INTEGER NOT NULL,
  process INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE gaps(id INTEGER PRIMARY KEY, tick INTEGER NOT NULL, time_ns INTEGER NOT NULL,
  duration_ns INTEGER NOT NULL, process INTEGER NOT NULL, reason TEXT NOT NULL,
  samples INTEGER NOT NULL);
CREATE TABLE live(id INTEGER PRIMARY KEY, tick INTEGER NOT NULL, time_ns INTEGER NOT NULL,
  process INTEGER NOT NULL, thread INTEGER NOT NULL, stack INTEGER NOT NULL, bytes INTEGER NOT NULL,
  standard_error_bytes INTEGER NOT NULL, blocks INTEGER NOT NULL, survived_ns INTEGER NOT NULL,
  collections INTEGER NOT NULL);
CREATE TABLE temporaries(id INTEGER PRIMARY KEY, tick INTEGER NOT NULL, time_ns INTEGER NOT NULL,
  process INTEGER NOT NULL, thread INTEGER NOT NULL, stack INTEGER NOT NULL,
  objects INTEGER NOT NULL);
CREATE TABLE allocation(id INTEGER PRIMARY KEY, tick INTEGER NOT NULL, time_ns INTEGER NOT NULL,
  process INTEGER NOT NULL, thread INTEGER NOT NULL, stack INTEGER NOT NULL,
  cpu_ns INTEGER NOT NULL, samples INTEGER NOT NULL);
CREATE TABLE growth_totals(id INTEGER PRIMARY KEY, process INTEGER NOT NULL,
  thread INTEGER NOT NULL, stack INTEGER NOT NULL, touched_bytes INTEGER NOT NULL,
  returned_bytes INTEGER NOT NULL, samples INTEGER NOT NULL);
)sql";

// For people with the sqlite3 shell; memspy itself reads tables only.
constexpr const char* kViews = R"sql(
CREATE VIEW frame_names AS
  SELECT frames.id AS frame, ifnull(named.function, frames.function) AS function,
         coalesce(named.file, files.path, modules.path, '') AS file,
         ifnull(named.line, frames.line) AS line, kind
  FROM frames LEFT JOIN files ON files.id = frames.file
              LEFT JOIN addresses ON addresses.id = frames.id
              LEFT JOIN modules ON modules.id = addresses.module
              LEFT JOIN (SELECT frame, function, file, line, max(id) FROM names GROUP BY frame)
                AS named ON named.frame = frames.id;
CREATE VIEW line_totals AS
  SELECT function, file, line, sum(touched_bytes - returned_bytes) AS net_bytes,
         sum(touched_bytes) AS touched_bytes, sum(samples) AS samples
  FROM growth_totals JOIN stacks ON stacks.id = growth_totals.stack
                     JOIN frame_names ON frame_names.frame = stacks.frame
  GROUP BY function, file, line ORDER BY net_bytes DESC;
CREATE VIEW allocation_lines AS
  SELECT function, file, line, sum(cpu_ns) / 1000 AS alloc_us, sum(samples) AS samples
  FROM allocation JOIN stacks ON stacks.id = allocation.stack
                  JOIN frame_names ON frame_names.frame = stacks.frame
  GROUP BY function, file, line ORDER BY alloc_us DESC;
)sql";

}  // namespace

std::string schema_sql() {
  std::string sql = kTables;
  sql += "CREATE TABLE points(id INTEGER PRIMARY KEY, tick INTEGER NOT NULL, ";
  sql += "time_ns INTEGER NOT NULL, process INTEGER NOT NULL";
  for (const auto& column : series_columns()) sql.append(", ").append(column.name);
  sql += ");";
  return sql + kViews;
}

std::string insert_point_sql() {
  std::string sql = "INSERT INTO points(tick, time_ns, process";
  std::string marks = "?,?,?";
  for (const auto& column : series_columns()) {
    sql.append(", ").append(column.name);
    marks += ",?";
  }
  return sql + ") VALUES(" + marks + ")";
}

}  // namespace memspy::recording
