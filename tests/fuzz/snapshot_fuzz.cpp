// A snapshot of any bytes: opened and put to every use, or refused. Checksums would keep nearly
// every mutation out: they are made right first, so that what is behind them is reached.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "require.h"
#include "snapshot/diff.h"
#include "snapshot/paths.h"
#include "snapshot/snapshot_file.h"
#include "snapshot/snapshot_sections.h"

namespace {

using namespace memspy;            // NOLINT
using namespace memspy::snapshot;  // NOLINT

const std::string& path() {
  static const std::string kPath = (::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") +
                                   std::string("/memspy-snapshot-fuzz-") +
                                   std::to_string(::getpid());
  return kPath;
}

void mend_checksums(std::vector<std::byte>& file) {
  FileHead head;
  if (file.size() < sizeof(head)) return;
  std::memcpy(&head, file.data(), sizeof(head));
  const std::uint64_t table_bytes = std::uint64_t{head.sections} * sizeof(SectionEntry);
  if (head.sections > kMaxSections || table_bytes > file.size() - sizeof(head)) return;
  const std::span bytes(file);
  for (std::uint32_t i = 0; i < head.sections; ++i) {
    std::byte* const at = file.data() + sizeof(head) + i * sizeof(SectionEntry);
    SectionEntry entry;
    std::memcpy(&entry, at, sizeof(entry));
    if (entry.offset > file.size() || entry.bytes > file.size() - entry.offset) continue;
    entry.checksum = checksum_of(bytes.subspan(entry.offset, entry.bytes));
    std::memcpy(at, &entry, sizeof(entry));
  }
  head.table_checksum = checksum_of(bytes.subspan(sizeof(head), table_bytes));
  std::memcpy(file.data(), &head, sizeof(head));
}

void use(const OpenedSnapshot& opened) {
  const auto& graph = opened.snapshot.graph;
  const auto owners = find_owners(graph, opened.dominators);
  MEMSPY_REQUIRE(owners.owner_of.size() == graph.node_count());
  for (const auto owner : owners.owner_of) MEMSPY_REQUIRE(owner < owners.owners.size());
  static_cast<void>(find_garbage(graph, opened.dominators));
  MEMSPY_REQUIRE(totals_by_type(graph, opened.dominators).size() == graph.types().size());
  std::vector<NodeIndex> nodes;
  for (std::uint32_t n = 0; n < graph.node_count() && n < 1000; ++n) {
    nodes.push_back({n});
    static_cast<void>(shortest_paths(opened.snapshot, {n}, 3));
    static_cast<void>(graph.find(graph.address({n})));
    static_cast<void>(graph.label({n}));
  }
  MEMSPY_REQUIRE(merge_paths(opened.snapshot, opened.dominators, nodes).count == nodes.size());
  const Look look{&opened.snapshot, &opened.dominators, &owners};
  MEMSPY_REQUIRE(diff_snapshots(std::vector<Look>{look, look}).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> file(size);
  if (size != 0) std::memcpy(file.data(), data, size);
  mend_checksums(file);
  std::FILE* const out = std::fopen(path().c_str(), "wb");
  if (out == nullptr) return 0;
  if (!file.empty()) std::fwrite(file.data(), 1, file.size(), out);
  std::fclose(out);
  {
    const auto opened = open_snapshot(path());
    if (opened.has_value()) use(*opened);
  }
  ::unlink(path().c_str());
  return 0;
}
