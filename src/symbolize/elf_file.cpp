#include "symbolize/elf_file.h"

#include <fcntl.h>
#include <gelf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <spdlog/fmt/fmt.h>

#include "symbolize/handles.h"

namespace memspy::symbolize {
namespace {

constexpr std::size_t kMaxFileSegments = 4096;
constexpr std::size_t kMaxFileSymbols = 8U << 20;
constexpr std::size_t kMaxFileNotes = 256U << 10;

void init_libelf() {
  static const auto kVersion = ::elf_version(EV_CURRENT);
  static_cast<void>(kVersion);
}

Error elf_error(const std::string& name, std::string_view what) {
  const char* reason = ::elf_errmsg(-1);
  return make_error(Errc::kCorrupt, fmt::format("{}: {}: {}", name, what,
                                                reason != nullptr ? reason : "no reason given"));
}

struct NamedSection {
  std::string name;
  ElfSection place;
};

}  // namespace

struct ElfFile::Impl {
  std::string name;
  UniqueFd fd;                   // libelf reads from it on demand
  std::vector<std::byte> bytes;  // or from these
  ElfHandle elf;                 // declared after what it reads from, so that it goes first
  bool position_independent = false;
  std::string build_id;
  std::vector<ElfSegment> segments;
  std::vector<NamedSection> sections;
  Elf_Scn* dynsym = nullptr;
  Elf_Scn* symtab = nullptr;
  // Filled on first use; see the head of the class for threads.
  mutable std::optional<SymbolTable> exported, all;

  Result<Unit> load();
  Result<Unit> load_segments();
  void load_build_id(std::uint64_t offset, std::uint64_t size);
  void load_sections();
  SymbolTable load_symbols(Elf_Scn* section) const;
};

Result<Unit> ElfFile::Impl::load() {
  if (!elf) return elf_error(name, "cannot be read as ELF");
  if (::elf_kind(elf.get()) != ELF_K_ELF) {
    return make_error(Errc::kUnsupported, name + ": not an ELF file");
  }
  GElf_Ehdr header;
  if (::gelf_getehdr(elf.get(), &header) == nullptr) return elf_error(name, "ELF header");
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
    return make_error(
        Errc::kUnsupported,
        fmt::format("{}: ELF type {} is neither executable nor library", name, header.e_type));
  }
  position_independent = header.e_type == ET_DYN;
  MEMSPY_CHECK(load_segments());
  load_sections();
  return Unit{};
}

Result<Unit> ElfFile::Impl::load_segments() {
  std::size_t count = 0;
  if (::elf_getphdrnum(elf.get(), &count) != 0) return elf_error(name, "program headers");
  if (count > kMaxFileSegments) {
    return make_error(Errc::kCorrupt, fmt::format("{}: {} program headers", name, count));
  }
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (::gelf_getphdr(elf.get(), static_cast<int>(i), &header) == nullptr) {
      return elf_error(name, fmt::format("program header {}", i));
    }
    if (header.p_type == PT_NOTE && build_id.empty())
      load_build_id(header.p_offset, header.p_filesz);
    if (header.p_type != PT_LOAD) continue;
    segments.push_back({header.p_vaddr, header.p_memsz, header.p_offset, header.p_filesz,
                        (header.p_flags & PF_R) != 0, (header.p_flags & PF_W) != 0,
                        (header.p_flags & PF_X) != 0});
  }
  return Unit{};
}

void ElfFile::Impl::load_build_id(std::uint64_t offset, std::uint64_t size) {
  if (offset > INT64_MAX || size > kMaxFileNotes) return;
  const Elf_Data* data =
      ::elf_getdata_rawchunk(elf.get(), static_cast<std::int64_t>(offset), size, ELF_T_BYTE);
  if (data == nullptr || data->d_buf == nullptr) return;
  build_id = find_build_id({static_cast<const std::byte*>(data->d_buf), data->d_size});
}

void ElfFile::Impl::load_sections() {
  std::size_t names = 0;
  if (::elf_getshdrstrndx(elf.get(), &names) != 0) return;
  Elf_Scn* section = nullptr;
  while ((section = ::elf_nextscn(elf.get(), section)) != nullptr) {
    GElf_Shdr header;
    if (::gelf_getshdr(section, &header) == nullptr) continue;
    if (header.sh_type == SHT_DYNSYM && dynsym == nullptr) dynsym = section;
    if (header.sh_type == SHT_SYMTAB && symtab == nullptr) symtab = section;
    if ((header.sh_flags & SHF_ALLOC) == 0) continue;
    const char* text = ::elf_strptr(elf.get(), names, header.sh_name);
    if (text != nullptr) sections.push_back({text, {header.sh_addr, header.sh_size}});
  }
}

SymbolTable ElfFile::Impl::load_symbols(Elf_Scn* section) const {
  SymbolTable table;
  GElf_Shdr header;
  if (section == nullptr || ::gelf_getshdr(section, &header) == nullptr) return table;
  Elf_Data* data = ::elf_getdata(section, nullptr);
  const std::size_t entry = ::gelf_fsize(elf.get(), ELF_T_SYM, 1, EV_CURRENT);
  if (data == nullptr || data->d_buf == nullptr || entry == 0) return table;
  const std::size_t count = std::min(data->d_size / entry, kMaxFileSymbols);
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Sym symbol;
    if (::gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
    if (!has_address(symbol.st_info, symbol.st_shndx)) continue;
    const char* text = ::elf_strptr(elf.get(), header.sh_link, symbol.st_name);
    const std::size_t length = text == nullptr ? 0 : ::strnlen(text, kMaxSymbolName);
    if (length == 0 || length == kMaxSymbolName) continue;
    table.add({text, length}, {symbol.st_value, symbol.st_size},
              GELF_ST_BIND(symbol.st_info) != STB_LOCAL);
  }
  return table;
}

ElfFile::ElfFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ElfFile::~ElfFile() = default;

Result<std::unique_ptr<ElfFile>> ElfFile::open(UniqueFd fd, std::string name) {
  init_libelf();
  auto impl = std::make_unique<Impl>();
  impl->name = std::move(name);
  impl->fd = std::move(fd);
  // Not mapped: a file that shrinks under a mapping would end memspy with SIGBUS.
  impl->elf.reset(::elf_begin(impl->fd.get(), ELF_C_READ, nullptr));
  MEMSPY_CHECK(impl->load());
  return std::unique_ptr<ElfFile>(new ElfFile(std::move(impl)));
}

Result<std::unique_ptr<ElfFile>> ElfFile::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd.valid()) {
    const int err = errno;
    return make_error(err == EACCES || err == EPERM ? Errc::kPermission : Errc::kUnreadable,
                      "cannot open " + path, err);
  }
  return open(std::move(fd), path);
}

Result<std::unique_ptr<ElfFile>> ElfFile::from_bytes(std::vector<std::byte> bytes,
                                                     std::string name) {
  init_libelf();
  auto impl = std::make_unique<Impl>();
  impl->name = std::move(name);
  impl->bytes = std::move(bytes);
  impl->elf.reset(::elf_memory(reinterpret_cast<char*>(impl->bytes.data()), impl->bytes.size()));
  MEMSPY_CHECK(impl->load());
  return std::unique_ptr<ElfFile>(new ElfFile(std::move(impl)));
}

bool ElfFile::position_independent() const { return impl_->position_independent; }
const std::vector<ElfSegment>& ElfFile::segments() const { return impl_->segments; }
const std::string& ElfFile::build_id() const { return impl_->build_id; }
bool ElfFile::has_sections() const { return !impl_->sections.empty(); }
bool ElfFile::has_symtab() const { return impl_->symtab != nullptr; }

std::optional<ElfSymbol> ElfFile::find_symbol(std::string_view name) const {
  if (!impl_->exported) impl_->exported = impl_->load_symbols(impl_->dynsym);
  if (auto found = impl_->exported->find(name)) return found;
  if (!impl_->all) impl_->all = impl_->load_symbols(impl_->symtab);
  return impl_->all->find(name);
}

std::vector<ElfSymbol> ElfFile::find_parts(std::string_view name) const {
  std::vector<ElfSymbol> parts;
  if (const auto whole = find_symbol(name)) parts.push_back(*whole);
  if (!impl_->all) impl_->all = impl_->load_symbols(impl_->symtab);
  for (const ElfSymbol& part : impl_->all->find_parts(name)) parts.push_back(part);
  return parts;
}

std::optional<ElfSection> ElfFile::find_section(std::string_view name) const {
  for (const auto& section : impl_->sections) {
    if (section.name == name) return section.place;
  }
  return std::nullopt;
}

}  // namespace memspy::symbolize
