#include "unit/attach/core_builder.h"

#include <elf.h>
#include <sys/procfs.h>

#include <cstring>

namespace memspy::attach {
namespace {

template <typename T>
std::string raw(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string note(const std::string& name, std::uint32_t type, const std::string& body) {
  const auto padded = [](std::string text) {
    text.resize((text.size() + 3) / 4 * 4);
    return text;
  };
  Elf64_Nhdr header{};
  header.n_namesz = static_cast<std::uint32_t>(name.size() + 1);
  header.n_descsz = static_cast<std::uint32_t>(body.size());
  header.n_type = type;
  return raw(header) + padded(name + '\0') + padded(body);
}

Elf64_Ehdr header_of(std::uint16_t type, std::size_t segments) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = type;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(header);
  header.e_ehsize = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<std::uint16_t>(segments);
  return header;
}

}  // namespace

void CoreBuilder::add_segment(std::uint64_t start, std::string bytes, std::uint64_t memory_size,
                              std::uint32_t flags) {
  segments_.push_back({start, std::move(bytes), memory_size, flags});
}

void CoreBuilder::add_file(std::uint64_t start, std::uint64_t end, std::uint64_t page_offset,
                           std::string path) {
  files_.push_back({start, end, page_offset, std::move(path)});
}

std::string CoreBuilder::notes() const {
  std::string text;
  for (int i = 0; i < threads_; ++i) {
    prstatus_t status{};
    status.pr_pid = pid_ + i;
    text += note("CORE", NT_PRSTATUS, raw(status));
    if (i > 0) continue;
    prpsinfo_t info{};
    info.pr_pid = pid_;
    text += note("CORE", NT_PRPSINFO, raw(info));
  }
  std::string auxv;
  for (const auto& [type, value] : auxv_) auxv += raw(type) + raw(value);
  if (!auxv.empty()) text += note("CORE", NT_AUXV, auxv + std::string(16, '\0'));
  std::string ranges, names;
  for (const File& file : files_) {
    ranges += raw(file.start) + raw(file.end) + raw(file.offset);
    names += file.path + '\0';
  }
  const std::uint64_t counts[2] = {files_.size(), 4096};
  if (!files_.empty()) text += note("CORE", NT_FILE, raw(counts) + ranges + names);
  return text;
}

std::string CoreBuilder::build() const {
  const std::string all_notes = notes();
  std::string out = raw(header_of(ET_CORE, segments_.size() + 1));
  std::uint64_t at = out.size() + (segments_.size() + 1) * sizeof(Elf64_Phdr);
  Elf64_Phdr header{};
  header.p_type = PT_NOTE;
  header.p_offset = at;
  header.p_filesz = all_notes.size();
  out += raw(header);
  at += all_notes.size();
  for (const Segment& segment : segments_) {
    header = {};
    header.p_type = PT_LOAD;
    header.p_flags = segment.flags;
    header.p_offset = at;
    header.p_vaddr = segment.start;
    header.p_filesz = segment.bytes.size();
    header.p_memsz = segment.memory_size;
    out += raw(header);
    at += segment.bytes.size();
  }
  out += all_notes;
  for (const Segment& segment : segments_) out += segment.bytes;
  return out;
}

std::string small_elf(const std::string& build_id) {
  const std::string body = note("GNU", NT_GNU_BUILD_ID, build_id);
  Elf64_Phdr header{};
  header.p_type = PT_NOTE;
  header.p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
  header.p_filesz = body.size();
  return raw(header_of(ET_DYN, 1)) + raw(header) + body;
}

}  // namespace memspy::attach
