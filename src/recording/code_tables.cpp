#include "recording/code_tables.h"

#include <limits>

#include "recording/table_scan.h"

namespace memspy::recording {
namespace {

constexpr std::size_t kMaxInlined = 256;  // functions at one address

bool has_table(Database& db, const char* name) {
  return db.query_integer("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '" +
                              std::string(name) + "'",
                          0) > 0;
}

}  // namespace

std::unordered_map<std::int64_t, CodeAddress> read_addresses(Database& db,
                                                             std::vector<std::string>& damage) {
  std::unordered_map<std::int64_t, CodeAddress> addresses;
  if (!has_table(db, "addresses") || !has_table(db, "modules")) return addresses;
  std::unordered_map<std::int64_t, CodeAddress> modules;
  for (TableScan scan(db, "modules", "path, build_id", damage); scan.next();)
    modules[scan.id()] = {scan.row().bytes(1), scan.row().bytes(2), 0};
  for (TableScan scan(db, "addresses", "module, address", damage); scan.next();) {
    const auto module = modules.find(scan.row().integer(1));
    if (module == modules.end()) continue;
    CodeAddress& code = addresses[scan.id()] = module->second;
    code.address = static_cast<std::uint64_t>(scan.row().integer(2));
  }
  return addresses;
}

std::map<FrameId, std::vector<Frame>> read_names(Database& db, std::vector<std::string>& damage) {
  std::map<FrameId, std::vector<Frame>> names;
  if (!has_table(db, "names")) return names;
  const auto addresses = read_addresses(db, damage);
  for (TableScan scan(db, "names", "frame, function, file, line", damage); scan.next();) {
    const std::int64_t id = scan.row().integer(1);
    const auto code = addresses.find(id);
    if (code == addresses.end() || id < 1 || id > std::numeric_limits<std::uint32_t>::max())
      continue;
    auto& list = names[FrameId{static_cast<std::uint32_t>(id)}];
    if (list.size() >= kMaxInlined) continue;
    const std::int64_t line = scan.row().integer(4);
    Frame frame;
    frame.function = scan.row().bytes(2);
    frame.file = scan.row().bytes(3);
    const bool sound = line >= 0 && line <= std::numeric_limits<std::int32_t>::max();
    frame.line = sound ? static_cast<std::int32_t>(line) : 0;
    frame.kind = FrameKind::kNative;
    frame.code = code->second;
    list.push_back(std::move(frame));
  }
  return names;
}

}  // namespace memspy::recording
