#include "attach/core_format.h"

#include <elf.h>
#include <sys/procfs.h>

#include <algorithm>
#include <cstring>

#include <spdlog/fmt/fmt.h>

#include "base/byte_units.h"

namespace memspy::attach {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kMaxSegments = std::size_t{1} << 20;  // the kernel allows 65530 mappings
constexpr std::uint64_t kMaxCoreFiles = std::uint64_t{1} << 20;
constexpr std::size_t kMaxPath = 4096;
constexpr std::size_t kMaxAuxv = 256;
constexpr std::size_t kMaxNotes = std::size_t{1} << 20;  // a thread has about six
constexpr std::uint64_t kCorePage = 4096;

// The `length` bytes at `offset`, or what there is of them.
Bytes part_of(Bytes bytes, std::uint64_t offset, std::uint64_t length) {
  if (offset >= bytes.size()) return {};
  return bytes.subspan(offset, std::min<std::uint64_t>(length, bytes.size() - offset));
}

template <typename T>
std::optional<T> load(Bytes bytes, std::uint64_t offset) {
  const Bytes part = part_of(bytes, offset, sizeof(T));
  if (part.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, part.data(), sizeof(T));
  return value;
}

std::string text_of(Bytes bytes) {
  if (bytes.empty()) return {};
  const auto* data = reinterpret_cast<const char*>(bytes.data());
  return std::string(data, ::strnlen(data, bytes.size()));
}

// Calls visit(type, name, descriptor) for each note that lies in `notes` with its name; the
// descriptor may be cut short.
template <typename Visit>
void for_each_note(Bytes notes, std::size_t& budget, const Visit& visit) {
  const auto padded = [](std::uint64_t size) { return (size + 3) & ~std::uint64_t{3}; };
  std::uint64_t at = 0;
  for (; budget > 0; --budget) {
    const auto header = load<Elf64_Nhdr>(notes, at);
    if (!header) return;
    at += sizeof(Elf64_Nhdr);
    const Bytes name = part_of(notes, at, header->n_namesz);
    at += padded(header->n_namesz);
    visit(header->n_type, text_of(name), part_of(notes, at, header->n_descsz));
    at += padded(header->n_descsz);
  }
}

class Parser {
 public:
  explicit Parser(Bytes file) : file_(file) {}
  Result<CoreLayout> parse();

 private:
  Result<Elf64_Ehdr> check_header() const;
  std::size_t segment_count(const Elf64_Ehdr& header) const;
  void add_segment(const Elf64_Phdr& header);
  void add_note(std::uint32_t type, const std::string& name, Bytes body);
  void add_files(Bytes body);
  void add_auxv(Bytes body);
  void clean();

  Bytes file_;
  CoreLayout core_;
  std::size_t notes_left_ = kMaxNotes;  // of all segments: hostile ones overlap
};

Result<Elf64_Ehdr> Parser::check_header() const {
  const auto header = load<Elf64_Ehdr>(file_, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
    return make_error(Errc::kUsage, "not an ELF file");
  if (header->e_type != ET_CORE)  // at the same place in those of other machines
    return make_error(Errc::kUsage, "an ELF file, but not a core file");
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
      header->e_machine != EM_X86_64) {
    Error error = make_error(Errc::kUnsupported, "a core file of another machine");
    error.hint = "memspy reads core files of x86-64";
    return error;
  }
  if (header->e_phentsize != sizeof(Elf64_Phdr))
    return make_error(Errc::kCorrupt, "program headers of another size");
  return *header;
}

std::size_t Parser::segment_count(const Elf64_Ehdr& header) const {
  std::uint64_t count = header.e_phnum;
  // More than fit into 16 bits: the first section header has the number.
  if (count == PN_XNUM) {
    const auto section = load<Elf64_Shdr>(file_, header.e_shoff);
    if (section) count = section->sh_info;
  }
  return std::min<std::uint64_t>(count, kMaxSegments);
}

Result<CoreLayout> Parser::parse() {
  MEMSPY_TRY(header, check_header());
  const std::size_t count = segment_count(header);
  std::size_t there = 0;
  const Bytes table = part_of(file_, header.e_phoff, count * sizeof(Elf64_Phdr));
  for (; there < count; ++there) {
    const auto segment = load<Elf64_Phdr>(table, there * sizeof(Elf64_Phdr));
    if (!segment) break;
    if (segment->p_type == PT_LOAD) add_segment(*segment);
    if (segment->p_type != PT_NOTE) continue;
    for_each_note(part_of(file_, segment->p_offset, segment->p_filesz), notes_left_,
                  [&](std::uint32_t type, const std::string& name, Bytes body) {
                    add_note(type, name, body);
                  });
  }
  if (there < count)
    core_.remarks.push_back(
        fmt::format("{} of {} program headers are missing", count - there, count));
  clean();
  if (core_.segments.empty())
    return make_error(Errc::kCorrupt, "no memory in it: the file is cut short or damaged");
  if (core_.missing_bytes > 0) {
    core_.remarks.push_back(fmt::format("the file is cut short: {} of the memory are missing",
                                        format_bytes(core_.missing_bytes)));
  }
  return std::move(core_);
}

void Parser::add_segment(const Elf64_Phdr& header) {
  if (header.p_memsz == 0 || header.p_vaddr + header.p_memsz < header.p_vaddr) return;
  CoreSegment segment;
  segment.start = RemoteAddr{header.p_vaddr};
  segment.end = RemoteAddr{header.p_vaddr + header.p_memsz};
  const std::uint64_t promised = std::min(header.p_filesz, header.p_memsz);
  segment.bytes = part_of(file_, header.p_offset, promised);
  core_.missing_bytes += promised - segment.bytes.size();
  segment.readable = (header.p_flags & PF_R) != 0;
  segment.writable = (header.p_flags & PF_W) != 0;
  segment.executable = (header.p_flags & PF_X) != 0;
  core_.segments.push_back(segment);
}

void Parser::add_note(std::uint32_t type, const std::string& name, Bytes body) {
  if (name != "CORE") return;
  if (type == NT_FILE && core_.files.empty()) return add_files(body);
  if (type == NT_AUXV && core_.auxv.empty()) return add_auxv(body);
  if (type == NT_PRSTATUS) {
    ++core_.threads;
    const auto status = load<prstatus_t>(body, 0);
    // The first thread is the one that the signal hit; the process has the last word.
    if (status && core_.pid.value == 0) core_.pid = Pid{status->pr_pid};
  }
  if (type == NT_PRPSINFO) {
    if (const auto info = load<prpsinfo_t>(body, 0)) {
      core_.pid = Pid{info->pr_pid};
      core_.name = text_of(std::as_bytes(std::span(info->pr_fname)));
      core_.command = text_of(std::as_bytes(std::span(info->pr_psargs)));
      // What stood between its arguments ends it as well.
      while (core_.command.ends_with(' ')) core_.command.pop_back();
    }
  }
}

// count, page size, count times (start, end, offset in pages), count names that end in NUL.
void Parser::add_files(Bytes body) {
  const auto count = load<std::uint64_t>(body, 0);
  const auto page = load<std::uint64_t>(body, 8);
  if (!count || !page || *count > kMaxCoreFiles) return;
  constexpr std::uint64_t kEntry = 24;
  Bytes names = part_of(body, 16 + *count * kEntry, body.size());
  for (std::uint64_t i = 0; i < *count; ++i) {
    const std::uint64_t at = 16 + i * kEntry;
    const auto start = load<std::uint64_t>(body, at);
    const auto end = load<std::uint64_t>(body, at + 8);
    const auto offset = load<std::uint64_t>(body, at + 16);
    if (!start || !end || !offset || names.empty()) break;
    CoreFileRange range{RemoteAddr{*start}, RemoteAddr{*end}, 0,
                        text_of(names.first(std::min(names.size(), kMaxPath)))};
    names = part_of(names, range.path.size() + 1, names.size());
    if (*start >= *end || __builtin_mul_overflow(*offset, *page, &range.offset)) continue;
    core_.files.push_back(std::move(range));
  }
}

void Parser::add_auxv(Bytes body) {
  for (std::size_t i = 0; i < kMaxAuxv; ++i) {
    const auto entry = load<Elf64_auxv_t>(body, i * sizeof(Elf64_auxv_t));
    if (!entry || entry->a_type == AT_NULL) return;
    core_.auxv.emplace_back(entry->a_type, entry->a_un.a_val);
  }
}

// Sorts, and of things that overlap keeps the first.
template <typename T>
std::size_t keep_apart(std::vector<T>& things) {
  std::stable_sort(things.begin(), things.end(),
                   [](const T& a, const T& b) { return a.start < b.start; });
  RemoteAddr end{0};
  return std::erase_if(things, [&](const T& thing) {
    if (thing.start < end) return true;
    end = thing.end;
    return false;
  });
}

void Parser::clean() {
  const std::size_t dropped = keep_apart(core_.segments) + keep_apart(core_.files);
  if (dropped > 0)
    core_.remarks.push_back(fmt::format("{} segments overlap others and are left out", dropped));
}

void add_mapping(MemoryMap& map, RemoteAddr start, RemoteAddr end, const CoreSegment* segment,
                 const CoreFileRange* file) {
  if (start >= end) return;
  Mapping mapping;
  mapping.start = start;
  mapping.end = end;
  // Of what is in no segment only files are known: mapped to be read, and for all that gcore says
  // their code.
  mapping.readable = segment == nullptr || segment->readable;
  mapping.writable = segment != nullptr && segment->writable;
  mapping.executable = segment == nullptr || segment->executable;
  if (file != nullptr) {
    mapping.offset = file->offset + (start.value - file->start.value);
    mapping.path = file->path;
    constexpr std::string_view kDeleted = " (deleted)";
    mapping.deleted = mapping.path.ends_with(kDeleted);
    if (mapping.deleted) mapping.path.resize(mapping.path.size() - kDeleted.size());
  }
  map.push_back(std::move(mapping));
}

void name_mapping(MemoryMap& map, std::optional<std::uint64_t> address, const char* name) {
  if (!address) return;
  for (Mapping& mapping : map)
    if (mapping.contains(RemoteAddr{*address}) && mapping.path.empty()) mapping.path = name;
}

// brk's heap: the first memory without a file behind the program, and apart from its .bss.
void name_heap(MemoryMap& map, std::optional<std::uint64_t> program) {
  const Mapping* own = program ? find_mapping(map, RemoteAddr{*program}) : nullptr;
  if (own == nullptr || own->path.empty()) return;
  const std::string path = own->path;
  bool behind = false;
  RemoteAddr end{0};
  for (Mapping& mapping : map) {
    const bool adjacent = mapping.start == end;
    end = mapping.end;
    if (mapping.path == path) {
      behind = true;
    } else if (behind) {
      if (!mapping.path.empty()) return;
      if (adjacent || !mapping.writable) continue;
      mapping.path = "[heap]";
      return;
    }
  }
}

}  // namespace

std::optional<std::uint64_t> CoreLayout::find_auxv(std::uint64_t type) const {
  for (const auto& [key, value] : auxv)
    if (key == type) return value;
  return std::nullopt;
}

Result<CoreLayout> parse_core(Bytes file) { return Parser(file).parse(); }

MemoryMap map_of(const CoreLayout& core) {
  MemoryMap map;
  auto file = core.files.begin();
  const auto files_before = [&](RemoteAddr limit, RemoteAddr from) {
    for (; file != core.files.end() && file->start < limit; ++file) {
      add_mapping(map, std::max(file->start, from), std::min(file->end, limit), nullptr, &*file);
      if (file->end > limit) return;
    }
  };
  RemoteAddr done{0};
  for (const CoreSegment& segment : core.segments) {
    files_before(segment.start, done);
    RemoteAddr at = segment.start;
    // A segment can hold several ranges of files, and a range can reach over its end.
    while (at < segment.end) {
      while (file != core.files.end() && file->end <= at) ++file;
      const bool inside = file != core.files.end() && file->start <= at;
      RemoteAddr end = segment.end;
      if (file != core.files.end()) end = std::min(end, inside ? file->end : file->start);
      add_mapping(map, at, std::min(end, segment.end), &segment, inside ? &*file : nullptr);
      at = std::min(end, segment.end);
    }
    done = segment.end;
  }
  files_before(RemoteAddr{~std::uint64_t{0}}, done);
  name_mapping(map, core.find_auxv(AT_SYSINFO_EHDR), "[vdso]");
  name_mapping(map, core.find_auxv(AT_RANDOM), "[stack]");
  name_heap(map, core.find_auxv(AT_PHDR));
  return map;
}

Bytes find_build_id(Bytes elf) {
  const auto header = load<Elf64_Ehdr>(elf, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phentsize != sizeof(Elf64_Phdr)) {
    return {};
  }
  Bytes found;
  std::size_t budget = 1024;
  for (std::uint64_t i = 0; i < header->e_phnum && found.empty(); ++i) {
    const auto segment = load<Elf64_Phdr>(elf, header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment) break;
    if (segment->p_type != PT_NOTE) continue;
    for_each_note(part_of(elf, segment->p_offset, segment->p_filesz), budget,
                  [&](std::uint32_t type, const std::string& name, Bytes body) {
                    if (type == NT_GNU_BUILD_ID && name == "GNU" && body.size() <= 64) found = body;
                  });
  }
  return found;
}

}  // namespace memspy::attach
