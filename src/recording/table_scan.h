// Walks one table of a recording in order of its ids, past damage: what is intact is read, and what
// is not is told.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "recording/sqlite_db.h"

namespace memspy::recording {

class TableScan {
 public:
  // `columns` follow the id, which is column 0. `damage` outlives the scan; a line is added to it
  // for each thing that cannot be read.
  TableScan(Database& db, std::string table, const std::string& columns,
            std::vector<std::string>& damage);

  // Moves to the first or next row; false at the end.
  bool next();
  bool valid() const { return valid_; }
  std::int64_t id() const { return id_; }
  const Statement& row() const { return query_; }

 private:
  bool resume_after_damage(int code);

  Database* db_;
  std::string table_;
  std::vector<std::string>* damage_;
  Statement query_;
  std::int64_t id_ = 0;  // ids begin at 1
  int breaks_ = 0;
  bool valid_ = false;
  bool done_ = false;
};

}  // namespace memspy::recording
