#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include <spdlog/fmt/fmt.h>

#include "base/unique_fd.h"
#include "snapshot/snapshot_file.h"
#include "snapshot/snapshot_sections.h"

namespace memspy::snapshot {
namespace {

// The file's bytes, for as long as a graph lies in them.
class Mapping {
 public:
  Mapping(void* at, std::size_t size) : at_(at), size_(size) {}
  ~Mapping() {
    if (size_ != 0) ::munmap(at_, size_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(at_), size_}; }

 private:
  void* at_;
  std::size_t size_;
};

Result<std::shared_ptr<const Mapping>> map_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd.valid()) {
    const int err = errno;
    return make_error(err == EACCES   ? Errc::kPermission
                      : err == ENOENT ? Errc::kUsage
                                      : Errc::kUnreadable,
                      "cannot open " + path, err);
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return make_error(Errc::kUsage, path + " is not a file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return std::make_shared<const Mapping>(nullptr, 0);
  void* const at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd.get(), 0);
  if (at == MAP_FAILED) return make_error(Errc::kUnreadable, "cannot map " + path, errno);
  return std::make_shared<const Mapping>(at, size);
}

Error not_a_snapshot(const std::string& path, std::string why) {
  Error error = make_error(Errc::kUsage, path + " is not a memspy snapshot");
  error.why = std::move(why);
  error.hint =
      "give a file that memspy snapshot has written (.memsnap); of a core file make one: "
      "memspy snapshot --core FILE";
  return error;
}

// The table of a file, and the sections that are what their checksums say.
class Sections final : public SectionSource {
 public:
  explicit Sections(std::span<const std::byte> file) : file_(file) {}

  Result<Unit> read_table(const std::string& path, std::vector<std::string>& damage) {
    FileHead head;
    if (file_.size() < sizeof(head))
      return not_a_snapshot(path, file_.empty() ? "it is empty" : "it is too short");
    std::memcpy(&head, file_.data(), sizeof(head));
    if (head.magic != kSnapshotMagic) return not_a_snapshot(path, "it begins differently");
    if (head.format > kSnapshotFormat) {
      Error error =
          make_error(Errc::kUnsupported,
                     fmt::format("{} has snapshot format {}, and this memspy reads up to {}", path,
                                 head.format, kSnapshotFormat));
      error.hint = "use the memspy that wrote it, or a newer one";
      return error;
    }
    if (head.format == 0) return not_a_snapshot(path, "it has no format version");
    const std::uint64_t bytes = std::uint64_t{head.sections} * sizeof(SectionEntry);
    if (head.sections > kMaxSections || bytes > file_.size() - sizeof(head))
      return not_a_snapshot(path, "its table of sections is cut");
    table_.resize(head.sections);
    if (bytes != 0) std::memcpy(table_.data(), file_.data() + sizeof(head), bytes);
    if (checksum_of(file_.subspan(sizeof(head), bytes)) != head.table_checksum)
      return not_a_snapshot(path, "its table of sections fails its checksum");
    if (head.file_bytes > file_.size())
      damage.push_back(
          fmt::format("the file is cut: {} of {} bytes", file_.size(), head.file_bytes));
    verify();
    return Unit{};
  }

  bool has(SectionId id) const {
    return std::any_of(table_.begin(), table_.end(), [&](const auto& e) { return e.id == id; });
  }

  std::span<const std::byte> section(SectionId id, std::uint32_t value_bytes,
                                     std::string& why) override {
    const auto entry = std::find_if(table_.begin(), table_.end(),
                                    [&](const SectionEntry& e) { return e.id == id; });
    if (entry == table_.end()) {
      why = "is missing";
      return {};
    }
    why = faults_[static_cast<std::size_t>(entry - table_.begin())];
    if (why.empty() && entry->value_bytes != value_bytes) why = "has values of another width";
    return why.empty() ? file_.subspan(entry->offset, entry->bytes) : std::span<const std::byte>();
  }

 private:
  std::string fault_of(const SectionEntry& entry) const {
    if (entry.offset % kSectionAlignment != 0) return "lies where no section lies";
    if (entry.offset > file_.size() || entry.bytes > file_.size() - entry.offset)
      return "is cut off";
    if (checksum_of(file_.subspan(entry.offset, entry.bytes)) != entry.checksum)
      return "fails its checksum";
    return {};
  }

  // Checksums are most of the work of opening: two threads share it.
  void verify() {
    faults_.resize(table_.size());
    const auto some = [this](std::size_t first) {
      for (std::size_t i = first; i < table_.size(); i += 2) faults_[i] = fault_of(table_[i]);
    };
    if (file_.size() < (16U << 20)) {
      some(0);
      some(1);
      return;
    }
    std::thread other(some, 1);
    some(0);
    other.join();
  }

  std::span<const std::byte> file_;
  std::vector<SectionEntry> table_;
  std::vector<std::string> faults_;
};

template <typename T>
bool read_column(Sections& sections, SectionId id, std::uint32_t count, std::vector<T>& to,
                 std::string& why) {
  const auto bytes = sections.section(id, sizeof(T), why);
  if (why.empty() && bytes.size() != std::size_t{count} * sizeof(T)) why = "has another length";
  if (!why.empty()) return false;
  to.resize(count);
  if (count != 0) std::memcpy(to.data(), bytes.data(), bytes.size());
  return true;
}

void read_dominators(Sections& sections, OpenedSnapshot& opened) {
  const ObjectGraph& graph = opened.snapshot.graph;
  const std::uint32_t count = graph.node_count();
  Dominators& d = opened.dominators;
  std::string why;
  if (read_column(sections, SectionId::kIdom, count, d.idom, why) &&
      read_column(sections, SectionId::kRetained, count, d.retained, why) &&
      read_column(sections, SectionId::kGarbage, count, d.garbage, why)) {
    if (valid_dominators(graph, d)) return;
    why = "contradict themselves";
  }
  if (sections.has(SectionId::kIdom))
    opened.damage.push_back("dominators were computed anew: what the file has " + why);
  d = compute_dominators(graph);
}

// Ascending by node, and none of a node that is not there.
bool valid_marks(std::span<const StringMark> marks, std::uint32_t nodes) {
  for (std::size_t i = 0; i < marks.size(); ++i) {
    if (marks[i].node >= nodes || (i > 0 && marks[i].node <= marks[i - 1].node)) return false;
  }
  return true;
}

void read_string_marks(Sections& sections, OpenedSnapshot& opened) {
  if (!sections.has(SectionId::kStringMarks)) return;
  std::string why;
  const auto bytes = sections.section(SectionId::kStringMarks, sizeof(StringMark), why);
  auto& marks = opened.snapshot.string_marks;
  if (why.empty() && bytes.size() % sizeof(StringMark) != 0) why = "are cut inside a value";
  if (why.empty() && !bytes.empty()) {
    marks.resize(bytes.size() / sizeof(StringMark));
    std::memcpy(marks.data(), bytes.data(), bytes.size());
    if (!valid_marks(marks, opened.snapshot.graph.node_count())) why = "contradict themselves";
  }
  if (why.empty()) return;
  opened.damage.push_back("which strings are alike is lost: string marks " + why);
  marks.clear();
}

void read_rest(Sections& sections, OpenedSnapshot& opened) {
  read_string_marks(sections, opened);
  std::string why;
  const auto info = sections.section(SectionId::kInfo, 1, why);
  if (why.empty() && !decode_info(info, opened.snapshot)) why = "contradicts itself";
  if (!why.empty()) opened.damage.push_back("process, ledger and collector are lost: info " + why);
  if (!sections.has(SectionId::kTexts)) return;
  why.clear();
  const auto texts = sections.section(SectionId::kTexts, 1, why);
  if (why.empty() && !decode_texts(texts, opened.snapshot)) why = "contradict themselves";
  if (why.empty()) return;
  opened.damage.push_back("texts of keys are lost: texts " + why);
  opened.snapshot.texts.clear();
}

}  // namespace

bool valid_dominators(const ObjectGraph& graph, const Dominators& d) {
  const std::uint32_t count = graph.node_count();
  for (const std::uint32_t above : d.idom) {
    if (above >= count && above != kNoNode.value) return false;
  }
  // 0: not met, 1: on the way up that is being walked, 2: leads to the root.
  std::vector<std::uint8_t> met(count);
  for (std::uint32_t n = 0; n < count; ++n) {
    if (d.garbage[n] > 1) return false;
    std::uint32_t at = n;
    for (; at != kNoNode.value && met[at] == 0; at = d.idom[at]) met[at] = 1;
    if (at != kNoNode.value && met[at] == 1) return false;
    for (at = n; at != kNoNode.value && met[at] == 1; at = d.idom[at]) met[at] = 2;
  }
  return true;
}

Result<OpenedSnapshot> open_snapshot(const std::string& path) {
  MEMSPY_TRY(mapping, map_file(path));
  OpenedSnapshot opened;
  Sections sections(mapping->bytes());
  MEMSPY_CHECK(sections.read_table(path, opened.damage));
  if (!GraphSections::read(sections, mapping, opened.snapshot.graph, opened.damage)) {
    Error error = make_error(Errc::kCorrupt, path + " is damaged beyond use");
    for (const auto& each : opened.damage) error.why += (error.why.empty() ? "" : "; ") + each;
    return error;
  }
  read_rest(sections, opened);
  read_dominators(sections, opened);
  return opened;
}

}  // namespace memspy::snapshot
