// What a .memsnap consists of, shared by its writer and its reader: docs/snapshot-format.md.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "snapshot/analysis.h"
#include "snapshot/snapshot.h"

namespace memspy::snapshot {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "columns are written as they lie in memory");

inline constexpr std::array<char, 8> kSnapshotMagic = {'m', 'e', 'm', 's', 'n', 'a', 'p', '\n'};
inline constexpr std::uint64_t kSectionAlignment = 64;
inline constexpr std::uint32_t kMaxSections = 64;

// Numbers are the file's: never reused, never renumbered.
enum class SectionId : std::uint32_t {
  kInfo = 1,
  kTypes = 2,
  kNames = 3,
  kAddresses = 4,
  kSegments = 5,
  kKinds = 6,
  kSizes = 7,
  kBigSizes = 8,
  kEdgeBegins = 9,
  kEdgeTargets = 10,
  kEdgeLabels = 11,
  kNodeLabels = 12,
  kRoots = 13,
  kTexts = 14,
  kIdom = 15,
  kRetained = 16,
  kGarbage = 17,
  kStringMarks = 18,
};
const char* section_name(SectionId id);

struct FileHead {
  std::array<char, 8> magic = kSnapshotMagic;
  std::uint32_t format = 0;
  std::uint32_t sections = 0;        // entries of the table that follows
  std::uint64_t table_checksum = 0;  // XXH3-64 of that table
  std::uint64_t file_bytes = 0;
};
static_assert(sizeof(FileHead) == 32);

struct SectionEntry {
  SectionId id = SectionId::kInfo;
  std::uint32_t value_bytes = 0;  // of one value of the column; 1 for records
  std::uint64_t offset = 0, bytes = 0;
  std::uint64_t checksum = 0;  // XXH3-64 of the section
};
static_assert(sizeof(SectionEntry) == 32);

struct RootRecord {
  std::uint32_t node = 0, name = 0, kind = 0, zero = 0;
};

static_assert(sizeof(StringMark) == 16, "a record of the file");

// Bytes of a section, or why there are none.
class SectionSource {
 public:
  virtual ~SectionSource() = default;
  // Empty `why`: these are intact. A section of no bytes is intact too.
  virtual std::span<const std::byte> section(SectionId id, std::uint32_t value_bytes,
                                             std::string& why) = 0;
};

// The one friend of ObjectGraph that knows both its columns and the file's.
class GraphSections {
 public:
  struct Column {
    SectionId id;
    std::uint32_t value_bytes;
    std::span<const std::byte> bytes;
  };
  static std::vector<Column> columns_of(const ObjectGraph& graph);

  // Fills `graph` from sections, every index checked; false with a sentence in `damage` when there
  // is no graph without what is missing. Lost references, names and roots leave a poorer graph.
  static bool read(SectionSource& source, std::shared_ptr<const void> storage, ObjectGraph& graph,
                   std::vector<std::string>& damage);

 private:
  static bool read_nodes(SectionSource& source, ObjectGraph& graph,
                         std::vector<std::string>& damage);
  static std::string check_nodes(const ObjectGraph& graph);
  static std::string check_edges(const ObjectGraph& graph, std::uint32_t nodes);
  static void read_edges(SectionSource& source, ObjectGraph& graph,
                         std::vector<std::string>& damage);
  static void read_marks(SectionSource& source, ObjectGraph& graph,
                         std::vector<std::string>& damage);
};

// Sections that are not columns, as records: a count, then each value or length-prefixed text.
std::string encode_types(std::span<const HeapType> types);
bool decode_types(std::span<const std::byte> bytes, std::vector<HeapType>& types);
std::string encode_names(const ObjectGraph& graph);
bool decode_names(std::span<const std::byte> bytes, std::vector<std::string>& names);
std::string encode_roots(std::span<const HeapRoot> roots);
std::string encode_texts(const Snapshot& snapshot);
bool decode_texts(std::span<const std::byte> bytes, Snapshot& snapshot);
std::string encode_info(const Snapshot& snapshot);
bool decode_info(std::span<const std::byte> bytes, Snapshot& snapshot);

// Dominators of that graph: in range, without cycles.
bool valid_dominators(const ObjectGraph& graph, const Dominators& dominators);

std::uint64_t checksum_of(std::span<const std::byte> bytes);

template <typename T>
std::span<const std::byte> bytes_of(std::span<const T> values) {
  return std::as_bytes(values);
}

}  // namespace memspy::snapshot
