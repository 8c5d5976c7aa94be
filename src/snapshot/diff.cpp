#include "snapshot/diff.h"

#include <algorithm>
#include <unordered_map>

#include <spdlog/fmt/fmt.h>

namespace memspy::snapshot {
namespace {

constexpr std::uint64_t kEnd = ~0ULL;

// A loop's local is one owner, on whichever line its function is: "frame consume:9 local backlog".
std::string without_line(const std::string& owner) {
  constexpr std::string_view kFrame = "frame ";
  const auto frame = owner.find(kFrame);
  if (frame == std::string::npos) return owner;
  const auto end = std::min(owner.find(' ', frame + kFrame.size()), owner.size());
  const auto colon = owner.rfind(':', end - 1);
  if (colon == std::string::npos || colon < frame || colon + 1 == end ||
      owner.find_first_not_of("0123456789", colon + 1) < end)
    return owner;
  return owner.substr(0, colon) + owner.substr(end);
}

// Rows by name, over all snapshots.
class Rows {
 public:
  explicit Rows(std::size_t looks) : looks_(looks) {}
  std::uint32_t row(const std::string& name) {
    const auto [at, added] = by_name_.try_emplace(name, static_cast<std::uint32_t>(rows_.size()));
    if (added) {
      GrowthRow& row = rows_.emplace_back();
      row.name = name;
      row.counts.resize(looks_);
      row.bytes.resize(looks_);
    }
    return at->second;
  }
  GrowthRow& operator[](std::uint32_t i) { return rows_[i]; }

  std::vector<GrowthRow> finish(double minutes) {
    for (auto& row : rows_) {
      row.grown_count = static_cast<std::int64_t>(row.counts.back() - row.counts.front());
      row.grown_bytes = static_cast<std::int64_t>(row.bytes.back() - row.bytes.front());
      if (minutes > 0) row.bytes_per_minute = static_cast<double>(row.grown_bytes) / minutes;
      row.grew_every_time = true;
      for (std::size_t i = 1; i < looks_; ++i) {
        if (row.bytes[i] <= row.bytes[i - 1]) row.grew_every_time = false;
      }
    }
    std::sort(rows_.begin(), rows_.end(), [](const GrowthRow& a, const GrowthRow& b) {
      const auto x = size_of(a), y = size_of(b);
      return x != y ? x > y : a.name < b.name;
    });
    return std::move(rows_);
  }

 private:
  static std::uint64_t size_of(const GrowthRow& row) {
    const auto grown = static_cast<std::uint64_t>(row.grown_bytes);
    return row.grown_bytes < 0 ? 0 - grown : grown;
  }
  std::size_t looks_;
  std::unordered_map<std::string, std::uint32_t> by_name_;
  std::vector<GrowthRow> rows_;
};

// The objects of one snapshot by address, with their types as rows.
class Cursor {
 public:
  Cursor(const ObjectGraph& graph, const std::vector<std::uint32_t>& rows)
      : graph_(&graph), rows_(&rows) {}
  std::uint64_t address() {
    if (at_ >= graph_->node_count()) return kEnd;
    if (known_ != at_) {
      address_ = graph_->address({at_}).value;
      known_ = at_;
    }
    return address_;
  }
  std::uint32_t row() const { return (*rows_)[graph_->type({at_}).value]; }
  NodeIndex node() const { return {at_}; }
  void next() { ++at_; }

 private:
  const ObjectGraph* graph_;
  const std::vector<std::uint32_t>* rows_;
  std::uint32_t at_ = 0, known_ = 0xffffffff;
  std::uint64_t address_ = 0;
};

// A core file does not say when its process was started: there its number and name have to do.
bool of_one_process(const Header& a, const Header& b) {
  if (a.process.start_ticks != 0 && b.process.start_ticks != 0) return a.process == b.process;
  return a.process.pid == b.process.pid && a.process_name == b.process_name;
}

class Differ {
 public:
  explicit Differ(std::span<const Look> looks)
      : looks_(looks), types_(looks.size()), owners_(looks.size()), rows_of_types_(looks.size()) {}

  SnapshotDiff run() {
    const Header& first = looks_.front().snapshot->header;
    const Header& last = looks_.back().snapshot->header;
    result_.same_process = std::all_of(looks_.begin(), looks_.end(), [&](const Look& look) {
      return of_one_process(look.snapshot->header, first);
    });
    if (result_.same_process)
      result_.minutes =
          std::chrono::duration<double>(last.wall_time - first.wall_time).count() / 60;
    for (std::size_t i = 0; i < looks_.size(); ++i) count(i);
    if (result_.same_process) match();
    result_.types = types_.finish(result_.minutes);
    result_.owners = owners_.finish(result_.minutes);
    return std::move(result_);
  }

 private:
  void count(std::size_t i) {
    const ObjectGraph& graph = looks_[i].snapshot->graph;
    for (const auto& type : graph.types()) rows_of_types_[i].push_back(types_.row(type.name));
    std::vector<std::uint64_t> counts(graph.types().size()), bytes(graph.types().size());
    for (std::uint32_t n = 0; n < graph.node_count(); ++n) {
      const std::uint32_t type = graph.type({n}).value;
      ++counts[type];
      bytes[type] += graph.bytes({n});
    }
    for (std::size_t t = 0; t < counts.size(); ++t) {
      GrowthRow& row = types_[rows_of_types_[i][t]];
      row.counts[i] += counts[t];
      row.bytes[i] += bytes[t];
    }
    if (looks_[i].owners == nullptr) return;
    for (const auto& owner : looks_[i].owners->owners) {
      GrowthRow& row = owners_[owners_.row(without_line(owner.owner))];
      row.counts[i] += owner.count;
      row.bytes[i] += owner.bytes;
    }
  }

  // Side by side through all snapshots, address by address.
  void match() {
    std::vector<Cursor> cursors;
    for (std::size_t i = 0; i < looks_.size(); ++i)
      cursors.emplace_back(looks_[i].snapshot->graph, rows_of_types_[i]);
    for (;;) {
      std::uint64_t lowest = kEnd;
      for (auto& cursor : cursors) lowest = std::min(lowest, cursor.address());
      if (lowest == kEnd) return;
      compare(cursors, lowest);
      for (auto& cursor : cursors) {
        if (cursor.address() == lowest) cursor.next();
      }
    }
  }

  void compare(std::vector<Cursor>& cursors, std::uint64_t address) {
    Cursor &first = cursors.front(), &last = cursors.back();
    const bool was = first.address() == address, is = last.address() == address;
    if (was && is && first.row() == last.row()) return;
    if (was) {
      ++result_.gone_count;
      result_.gone_bytes += looks_.front().snapshot->graph.bytes(first.node());
    }
    if (!is) return;
    ++result_.new_count;
    result_.new_bytes += looks_.back().snapshot->graph.bytes(last.node());
    // Of three or more: new in the second, and there ever since.
    for (std::size_t i = 1; i < cursors.size(); ++i) {
      if (cursors[i].address() != address || cursors[i].row() != last.row()) return;
    }
    ++types_[last.row()].new_and_alive;
    if (looks_.back().owners == nullptr) return;
    const Owners& owners = *looks_.back().owners;
    const auto& owner = owners.owners[owners.owner_of[last.node().value]];
    ++owners_[owners_.row(without_line(owner.owner))].new_and_alive;
  }

  std::span<const Look> looks_;
  Rows types_, owners_;
  std::vector<std::vector<std::uint32_t>> rows_of_types_;  // by snapshot and type index
  SnapshotDiff result_;
};

}  // namespace

Result<SnapshotDiff> diff_snapshots(std::span<const Look> looks) {
  if (looks.size() < 2) return make_error(Errc::kUsage, "a diff needs two snapshots or more");
  for (std::size_t i = 1; i < looks.size(); ++i) {
    const Header &before = looks[i - 1].snapshot->header, &after = looks[i].snapshot->header;
    if (of_one_process(before, after) && after.wall_time < before.wall_time) {
      Error error =
          make_error(Errc::kUsage, fmt::format("snapshot {} is older than snapshot {}", i + 1, i));
      error.hint = "name them oldest first";
      return error;
    }
  }
  return Differ(looks).run();
}

}  // namespace memspy::snapshot
