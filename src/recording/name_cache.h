// Names that were found for the addresses of files, kept on disk by build id: debug information of
// a gigabyte takes seconds to ask, and says the same the next time. A file of its user's alone;
// what is damaged in it is not there.
//
// One thread; several processes may use one file.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>

#include "memspy/result.h"
#include "recording/name_table.h"
#include "recording/sqlite_db.h"

namespace memspy::recording {

class NameCache {
 public:
  // Made anew where there is none. kOutput: it cannot be made, or is in use;
  // kCorrupt: it is no cache, or one of
  // another version.
  // `now`: seconds since the epoch, by which it is known what was used when.
  static Result<NameCache> open(const std::string& path, std::int64_t now = std::time(nullptr));

  NameTable load(const std::string& build_id);
  // Names that it does not have yet. False: they could not be kept.
  bool add(const std::string& build_id, const NameTable& fresh);
  // Of the files asked for longest ago, by the day, as many as it takes to be no larger than this.
  void shrink(std::uint64_t most_bytes);

 private:
  NameCache(Database db, std::int64_t now) : db_(std::move(db)), now_(now) {}
  void note_use(const std::string& build_id);
  bool insert(const std::string& build_id, const NameTable& fresh);
  Database db_;
  std::int64_t now_;
};

}  // namespace memspy::recording
