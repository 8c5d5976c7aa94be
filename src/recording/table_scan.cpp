#include "recording/table_scan.h"

#include <spdlog/fmt/fmt.h>

namespace memspy::recording {
namespace {

// A page that cannot be read hides the rows after it up to the next good page: we look for it
// with growing strides, and give up on a table that is broken in many places.
constexpr std::int64_t kFirstStride = 16;
constexpr std::int64_t kLastStride = 1 << 24;
constexpr int kMaxBreaks = 32;

}  // namespace

TableScan::TableScan(Database& db, std::string table, const std::string& columns,
                     std::vector<std::string>& damage)
    : db_(&db), table_(std::move(table)), damage_(&damage) {
  // A view or a virtual table of that name (rootpage 0) would run code of the file's author.
  const std::string real = fmt::format(
      "SELECT count(*) FROM sqlite_schema WHERE type='table' AND name='{}' AND rootpage>0", table_);
  if (db.query_integer(real, 0) != 1) {
    damage_->push_back(fmt::format("the table {} is missing", table_));
    done_ = true;
    return;
  }
  query_ =
      db.prepare(fmt::format("SELECT id, {} FROM {} WHERE id > ? ORDER BY id", columns, table_));
  if (!query_.valid()) {
    damage_->push_back(fmt::format("the table {} cannot be read ({})", table_, db.last_message()));
    done_ = true;
    return;
  }
  query_.bind(1, std::int64_t{0});
}

bool TableScan::next() {
  valid_ = false;
  if (done_) return false;
  int code = query_.step();
  if (code != SQLITE_ROW && code != SQLITE_DONE && !resume_after_damage(code)) return false;
  if (code == SQLITE_DONE) {
    done_ = true;
    return false;
  }
  const std::int64_t id = query_.integer(0);
  // Also what ends a walk over pages that point back at themselves.
  if (id <= id_) {
    damage_->push_back(fmt::format("the table {} is out of order after row {}", table_, id_));
    done_ = true;
    return false;
  }
  id_ = id;
  valid_ = true;
  return true;
}

// True: query_ stands on the next row that can be read.
bool TableScan::resume_after_damage(int code) {
  const std::string reason = sqlite3_errstr(code);
  if (++breaks_ <= kMaxBreaks) {
    for (std::int64_t stride = kFirstStride; stride <= kLastStride; stride *= 2) {
      query_.reset();
      query_.bind(1, id_ + stride);
      const int again = query_.step();
      if (again == SQLITE_ROW) {
        damage_->push_back(fmt::format("rows {} to {} of the table {} are lost ({})", id_ + 1,
                                       query_.integer(0) - 1, table_, reason));
        return true;
      }
      if (again == SQLITE_DONE) break;
    }
  }
  damage_->push_back(fmt::format("the table {} is lost after row {} ({})", table_, id_, reason));
  done_ = true;
  return false;
}

}  // namespace memspy::recording
