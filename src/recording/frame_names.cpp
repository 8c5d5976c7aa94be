#include "recording/frame_names.h"

#include <algorithm>

#include "recording/sqlite_db.h"

namespace memspy::recording {
namespace {

bool is_address(const Frame& frame) {
  return frame.kind == FrameKind::kNative && !frame.code.module.empty();
}

bool has_lines(const std::vector<Frame>& names) {
  return std::any_of(names.begin(), names.end(), [](const Frame& frame) { return frame.line > 0; });
}

class Expander {
 public:
  explicit Expander(const Profile& profile) : profile_(profile) {}

  StackId stack(StackId old) {
    if (old == kNoStack) return kNoStack;
    if (known_.size() < old.value) known_.resize(profile_.stacks.stack_count());
    StackId& fresh = known_[old.value - 1];
    if (fresh == kNoStack) {
      const StackTable::Node& node = profile_.stacks.node(old);
      fresh = push(stack(node.parent), node.frame);  // parents come first: depth is bounded
    }
    return fresh;
  }
  StackTable take() && { return std::move(stacks_); }

 private:
  StackId push(StackId parent, FrameId frame) {
    const auto named = profile_.names.find(frame);
    if (named == profile_.names.end() || named->second.empty())
      return stacks_.intern(parent, stacks_.intern(profile_.stacks.frame(frame)));
    for (auto it = named->second.rbegin(); it != named->second.rend(); ++it)
      parent = stacks_.intern(parent, stacks_.intern(*it));
    return parent;
  }

  const Profile& profile_;
  StackTable stacks_;
  std::vector<StackId> known_;  // by the old id - 1
};

Error failed(const std::string& path, const Database& db) {
  return make_error(Errc::kOutput, "cannot add names to " + path + " (" + db.last_message() + ")",
                    db.last_errno());
}

}  // namespace

bool has_native_frames(const StackTable& stacks) {
  for (std::uint32_t id = 1; id <= stacks.frame_count(); ++id)
    if (is_address(stacks.frame(FrameId{id}))) return true;
  return false;
}

std::vector<CodeAddress> native_addresses(const StackTable& stacks) {
  std::vector<CodeAddress> addresses;
  for (std::uint32_t id = 1; id <= stacks.frame_count(); ++id)
    if (is_address(stacks.frame(FrameId{id}))) addresses.push_back(stacks.frame(FrameId{id}).code);
  return addresses;
}

void find_names(Profile& profile, NamesWanted wanted, const NameFrame& name) {
  for (std::uint32_t id = 1; id <= profile.stacks.frame_count(); ++id) {
    const Frame& frame = profile.stacks.frame(FrameId{id});
    if (!is_address(frame)) continue;
    if (wanted == NamesWanted::kMissing && profile.names.contains(FrameId{id})) continue;
    auto names = name(frame);
    if (names.empty()) continue;
    // What was found before, with debug information that is not here, is the better answer.
    const auto known = profile.names.find(FrameId{id});
    if (known != profile.names.end() && has_lines(known->second) && !has_lines(names)) continue;
    profile.names[FrameId{id}] = std::move(names);
  }
}

void expand_names(Profile& profile) {
  if (profile.names.empty()) return;
  Expander expander(profile);
  std::map<ProfileKey, ProfileValue> growth;
  for (const auto& [key, value] : profile.growth) {
    ProfileValue& sum = growth[{key.process, key.thread, expander.stack(key.stack)}];
    sum.touched_bytes += value.touched_bytes;
    sum.returned_bytes += value.returned_bytes;
    sum.samples += value.samples;
  }
  profile.growth = std::move(growth);
  std::map<ProfileKey, CpuSpent> allocation;
  for (const auto& [key, spent] : profile.allocation) {
    CpuSpent& sum = allocation[{key.process, key.thread, expander.stack(key.stack)}];
    sum.time += spent.time;
    sum.samples += spent.samples;
  }
  profile.allocation = std::move(allocation);
  for (LiveRecord& record : profile.live) record.stack = expander.stack(record.stack);
  for (TemporaryRecord& record : profile.temporaries) record.stack = expander.stack(record.stack);
  profile.timeline.rename([&](StackId old) { return expander.stack(old); });
  profile.stacks = std::move(expander).take();
  profile.names.clear();
}

Result<Unit> store_names(const std::string& path, const Profile& profile) {
  if (profile.names.empty()) return Unit{};
  MEMSPY_TRY(db, Database::open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX));
  sqlite3_busy_timeout(db.raw(), 5000);
  if (db.exec("BEGIN IMMEDIATE; DELETE FROM names;") != SQLITE_OK) return failed(path, db);
  Statement insert = db.prepare("INSERT INTO names(frame, function, file, line) VALUES(?,?,?,?)");
  if (!insert.valid()) return failed(path, db);
  for (const auto& [id, names] : profile.names) {
    for (const Frame& frame : names) {
      insert.bind(1, std::int64_t{id.value}).bind_text(2, frame.function);
      insert.bind_text(3, frame.file).bind(4, std::int64_t{frame.line});
      if (insert.run() != SQLITE_OK) return failed(path, db);
    }
  }
  if (db.exec("COMMIT") != SQLITE_OK) return failed(path, db);
  return Unit{};
}

}  // namespace memspy::recording
