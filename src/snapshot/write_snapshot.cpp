#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include <spdlog/fmt/fmt.h>

#include "base/unique_fd.h"
#include "snapshot/snapshot_file.h"
#include "snapshot/snapshot_sections.h"

namespace memspy::snapshot {
namespace {

Error cannot(const std::string& what, const std::string& path, int err) {
  return make_error(Errc::kOutput, fmt::format("cannot {} {}", what, path), err);
}

// A file that appears under its name only when it is whole and on disk.
class NewFile {
 public:
  // `secret`: for the owner's eyes alone.
  static Result<NewFile> create(const std::string& path, bool secret) {
    NewFile file;
    file.path_ = through_links(path);
    file.partial_ = fmt::format("{}.partial-{}", file.path_, ::getpid());
    ::unlink(file.partial_.c_str());  // of a process that had our number and was killed
    file.fd_ =
        UniqueFd(::open(file.partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                        secret ? 0600 : 0666));
    if (!file.fd_.valid()) return cannot("create", file.partial_, errno);
    return file;
  }
  NewFile(NewFile&&) = default;
  NewFile& operator=(NewFile&&) = default;
  ~NewFile() {
    if (fd_.valid()) ::unlink(partial_.c_str());
  }

  Result<Unit> write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::size_t piece = std::min<std::size_t>(bytes.size(), 64U << 20);
      const ssize_t wrote = ::pwrite(fd_.get(), bytes.data(), piece, static_cast<off_t>(offset));
      if (wrote < 0) {
        const int err = errno;
        if (err == EINTR) continue;
        return cannot("write", partial_, err);
      }
      offset += static_cast<std::uint64_t>(wrote);
      bytes = bytes.subspan(static_cast<std::size_t>(wrote));
    }
    return Unit{};
  }

  Result<Unit> commit() {
    if (::fsync(fd_.get()) != 0) return cannot("write", partial_, errno);
    if (::rename(partial_.c_str(), path_.c_str()) != 0) return cannot("rename to", path_, errno);
    fd_.reset();
    // The name, too; a folder that cannot be opened or synced has its file all the same.
    const std::size_t slash = path_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    const UniqueFd at(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (at.valid()) static_cast<void>(::fsync(at.get()));
    return Unit{};
  }

 private:
  NewFile() = default;
  static std::string through_links(const std::string& path) {
    char* const real = ::realpath(path.c_str(), nullptr);
    std::string result = real != nullptr ? real : path;
    std::free(real);
    return result;
  }

  std::string path_, partial_;
  UniqueFd fd_;
};

struct Pending {
  SectionId id;
  std::uint32_t value_bytes;
  std::span<const std::byte> bytes;
};

std::span<const std::byte> as_bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

Result<Unit> write_all(NewFile& file, const std::vector<Pending>& sections) {
  std::vector<SectionEntry> table;
  std::uint64_t at = sizeof(FileHead) + sections.size() * sizeof(SectionEntry);
  for (const auto& section : sections) {
    SectionEntry entry{section.id, section.value_bytes, 0, section.bytes.size(),
                       checksum_of(section.bytes)};
    if (!section.bytes.empty()) {  // one without bytes lies nowhere: at 0
      entry.offset = (at + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment;
      MEMSPY_CHECK(file.write_at(entry.offset, section.bytes));
      at = entry.offset + section.bytes.size();
    }
    table.push_back(entry);
  }
  const auto table_bytes = std::as_bytes(std::span(table));
  FileHead head;
  head.format = kSnapshotFormat;
  head.sections = static_cast<std::uint32_t>(table.size());
  head.table_checksum = checksum_of(table_bytes);
  head.file_bytes = at;
  MEMSPY_CHECK(file.write_at(sizeof(head), table_bytes));
  return file.write_at(0, std::as_bytes(std::span(&head, 1)));
}

}  // namespace

std::uint64_t checksum_of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Result<Unit> write_snapshot(const std::string& path, const Snapshot& snapshot,
                            const Dominators& dominators) {
  const ObjectGraph& graph = snapshot.graph;
  const std::string info = encode_info(snapshot), types = encode_types(graph.types()),
                    names = encode_names(graph), roots = encode_roots(graph.roots());
  const std::string texts = snapshot.header.values ? encode_texts(snapshot) : std::string();
  std::vector<Pending> sections = {{SectionId::kInfo, 1, as_bytes_of(info)},
                                   {SectionId::kTypes, 1, as_bytes_of(types)},
                                   {SectionId::kNames, 1, as_bytes_of(names)}};
  for (const auto& column : GraphSections::columns_of(graph))
    sections.push_back({column.id, column.value_bytes, column.bytes});
  sections.push_back({SectionId::kRoots, sizeof(RootRecord), as_bytes_of(roots)});
  if (snapshot.header.values) sections.push_back({SectionId::kTexts, 1, as_bytes_of(texts)});
  if (!snapshot.string_marks.empty())
    sections.push_back({SectionId::kStringMarks, sizeof(StringMark),
                        std::as_bytes(std::span(snapshot.string_marks))});
  if (dominators.idom.size() == graph.node_count()) {
    sections.push_back({SectionId::kIdom, 4, std::as_bytes(std::span(dominators.idom))});
    sections.push_back({SectionId::kRetained, 8, std::as_bytes(std::span(dominators.retained))});
    sections.push_back({SectionId::kGarbage, 1, std::as_bytes(std::span(dominators.garbage))});
  }
  MEMSPY_TRY(file, NewFile::create(path, snapshot.header.values));
  MEMSPY_CHECK(write_all(file, sections));
  return file.commit();
}

}  // namespace memspy::snapshot
