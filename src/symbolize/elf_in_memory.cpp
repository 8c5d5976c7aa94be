#include "symbolize/elf_in_memory.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <spdlog/fmt/fmt.h>

namespace memspy::symbolize {
namespace {

// What the largest real libraries have, times ten; the bytes are the target's and may lie.
constexpr std::size_t kMaxMappedSegments = 256;
constexpr std::size_t kMaxDynamicEntries = 4096;
constexpr std::size_t kMaxMappedSymbols = 2U << 20;
constexpr std::size_t kMaxMappedNames = 128U << 20;
constexpr std::size_t kMaxMappedNotes = 64U << 10;
constexpr std::size_t kMaxBuckets = 4U << 20;

struct Dynamic {
  std::uint64_t symbols = 0, names = 0, names_size = 0, hash = 0, gnu_hash = 0;
  std::uint64_t symbol_size = sizeof(Elf64_Sym);
};

}  // namespace

class ElfMemoryLoader {
 public:
  ElfMemoryLoader(const MemoryReader& memory, RemoteAddr header, ElfInMemory& image)
      : memory_(memory), header_(header), image_(image) {}

  Result<Unit> load();

 private:
  Result<Unit> load_segments(const Elf64_Ehdr& header);
  void load_build_id();
  Result<Unit> load_symbols();
  Dynamic read_dynamic() const;
  std::optional<std::size_t> symbol_count(const Dynamic& dynamic) const;
  std::optional<std::size_t> gnu_symbol_count(RemoteAddr table) const;
  RemoteAddr pointer(std::uint64_t value) const;
  template <typename T>
  std::optional<std::vector<T>> read_array(RemoteAddr at, std::size_t count) const;

  const MemoryReader& memory_;
  RemoteAddr header_;
  ElfInMemory& image_;
  std::vector<Elf64_Phdr> phdrs_;
  std::uint64_t bias_ = 0;
};

template <typename T>
std::optional<std::vector<T>> ElfMemoryLoader::read_array(RemoteAddr at, std::size_t count) const {
  // A lying count must not make memspy reserve what is not there: the last element is tried first.
  T last;
  if (count == 0) return std::vector<T>{};
  if (!read_exact(memory_, at + (count - 1) * sizeof(T),
                  std::as_writable_bytes(std::span(&last, 1)))) {
    return std::nullopt;
  }
  std::vector<T> values(count);
  if (!read_exact(memory_, at, std::as_writable_bytes(std::span(values)))) return std::nullopt;
  return values;
}

Result<Unit> ElfMemoryLoader::load() {
  MEMSPY_TRY(header, read<Elf64_Ehdr>(memory_, header_));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return make_error(Errc::kUnsupported, fmt::format("no ELF header at {:#x}", header_.value));
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return make_error(
        Errc::kUnsupported,
        fmt::format("the ELF image at {:#x} is not 64-bit little-endian", header_.value));
  }
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN) {
    return make_error(Errc::kUnsupported, fmt::format("the ELF image at {:#x} has type {}",
                                                      header_.value, header.e_type));
  }
  image_.position_independent_ = header.e_type == ET_DYN;
  MEMSPY_CHECK(load_segments(header));
  load_build_id();
  return load_symbols();
}

Result<Unit> ElfMemoryLoader::load_segments(const Elf64_Ehdr& header) {
  const auto corrupt = [&](std::string_view what) {
    return make_error(Errc::kCorrupt, fmt::format("ELF image at {:#x}: {}", header_.value, what));
  };
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 ||
      header.e_phnum > kMaxMappedSegments || header.e_phoff > (1U << 20)) {
    return corrupt("program headers make no sense");
  }
  auto phdrs = read_array<Elf64_Phdr>(header_ + header.e_phoff, header.e_phnum);
  if (!phdrs) return corrupt("program headers cannot be read");
  phdrs_ = std::move(*phdrs);
  for (const auto& p : phdrs_) {
    if (p.p_type != PT_LOAD) continue;
    image_.segments_.push_back({p.p_vaddr, p.p_memsz, p.p_offset, p.p_filesz,
                                (p.p_flags & PF_R) != 0, (p.p_flags & PF_W) != 0,
                                (p.p_flags & PF_X) != 0});
  }
  const auto bias = bias_of_mapping(image_.segments_, header_.value, 0, false);
  if (!bias) return corrupt("no segment holds its header");
  bias_ = *bias;
  return Unit{};
}

void ElfMemoryLoader::load_build_id() {
  for (const auto& p : phdrs_) {
    if (p.p_type != PT_NOTE || p.p_filesz > kMaxMappedNotes || !image_.build_id_.empty()) continue;
    const auto notes = read_array<std::byte>(RemoteAddr{p.p_vaddr + bias_}, p.p_filesz);
    if (notes) image_.build_id_ = find_build_id(*notes);
  }
}

// glibc relocates the pointers of a dynamic section in place, musl and the kernel (vdso) do not.
RemoteAddr ElfMemoryLoader::pointer(std::uint64_t value) const {
  for (const auto& s : image_.segments_) {
    if (value - (s.address + bias_) < s.memory_size) return RemoteAddr{value};
  }
  return RemoteAddr{value + bias_};
}

Dynamic ElfMemoryLoader::read_dynamic() const {
  Dynamic dynamic;
  for (const auto& p : phdrs_) {
    if (p.p_type != PT_DYNAMIC) continue;
    const std::size_t count = std::min(p.p_memsz / sizeof(Elf64_Dyn), kMaxDynamicEntries);
    const auto entries = read_array<Elf64_Dyn>(RemoteAddr{p.p_vaddr + bias_}, count);
    if (!entries) break;
    for (const auto& entry : *entries) {
      if (entry.d_tag == DT_NULL) break;
      if (entry.d_tag == DT_SYMTAB) dynamic.symbols = entry.d_un.d_ptr;
      if (entry.d_tag == DT_STRTAB) dynamic.names = entry.d_un.d_ptr;
      if (entry.d_tag == DT_STRSZ) dynamic.names_size = entry.d_un.d_val;
      if (entry.d_tag == DT_SYMENT) dynamic.symbol_size = entry.d_un.d_val;
      if (entry.d_tag == DT_HASH) dynamic.hash = entry.d_un.d_ptr;
      if (entry.d_tag == DT_GNU_HASH) dynamic.gnu_hash = entry.d_un.d_ptr;
    }
  }
  return dynamic;
}

// The table has no length of its own: DT_HASH says it, DT_GNU_HASH by the end of its last chain.
std::optional<std::size_t> ElfMemoryLoader::symbol_count(const Dynamic& dynamic) const {
  if (dynamic.hash != 0) {
    const auto head = read<std::array<std::uint32_t, 2>>(memory_, pointer(dynamic.hash));
    if (head) return (*head)[1];
  }
  if (dynamic.gnu_hash != 0) return gnu_symbol_count(pointer(dynamic.gnu_hash));
  return std::nullopt;
}

std::optional<std::size_t> ElfMemoryLoader::gnu_symbol_count(RemoteAddr table) const {
  struct Head {
    std::uint32_t buckets, first_symbol, bloom_words, bloom_shift;
  };
  const auto head = read<Head>(memory_, table);
  if (!head || head->buckets > kMaxBuckets || head->bloom_words > kMaxBuckets) return std::nullopt;
  const RemoteAddr bucket_at = table + sizeof(Head) + head->bloom_words * std::uint64_t{8};
  const auto buckets = read_array<std::uint32_t>(bucket_at, head->buckets);
  if (!buckets) return std::nullopt;
  const auto top = std::max_element(buckets->begin(), buckets->end());
  if (top == buckets->end() || *top < head->first_symbol) return head->first_symbol;
  const RemoteAddr chains = bucket_at + head->buckets * std::uint64_t{4};
  for (std::uint64_t index = *top; index < kMaxMappedSymbols; ++index) {
    const auto link = read<std::uint32_t>(memory_, chains + (index - head->first_symbol) * 4);
    if (!link) return std::nullopt;
    if ((*link & 1) != 0) return index + 1;  // the last of its chain
  }
  return std::nullopt;
}

Result<Unit> ElfMemoryLoader::load_symbols() {
  const Dynamic dynamic = read_dynamic();
  if (dynamic.symbols == 0 || dynamic.names == 0) return Unit{};
  const auto corrupt = [&](std::string_view what) {
    return make_error(Errc::kCorrupt, fmt::format("ELF image at {:#x}: {}", header_.value, what));
  };
  const auto count = symbol_count(dynamic);
  if (!count || *count > kMaxMappedSymbols || dynamic.symbol_size != sizeof(Elf64_Sym) ||
      dynamic.names_size > kMaxMappedNames) {
    return corrupt("the dynamic section makes no sense");
  }
  const auto symbols = read_array<Elf64_Sym>(pointer(dynamic.symbols), *count);
  auto names = read_array<char>(pointer(dynamic.names), dynamic.names_size);
  if (!symbols || !names) return corrupt("dynamic symbols cannot be read");
  image_.names_ = std::move(*names);
  const std::string_view text(image_.names_.data(), image_.names_.size());
  for (const auto& symbol : *symbols) {
    if (!has_address(symbol.st_info, symbol.st_shndx) || symbol.st_name >= text.size()) continue;
    const auto start = text.substr(symbol.st_name, kMaxSymbolName);
    const auto length = start.find('\0');
    if (length == std::string_view::npos || length == 0) continue;
    image_.symbols_.add(start.substr(0, length), {symbol.st_value, symbol.st_size},
                        ELF64_ST_BIND(symbol.st_info) != STB_LOCAL);
  }
  return Unit{};
}

Result<std::unique_ptr<ElfInMemory>> ElfInMemory::read(const MemoryReader& memory,
                                                       RemoteAddr header) {
  auto image = std::make_unique<ElfInMemory>();
  MEMSPY_CHECK(ElfMemoryLoader(memory, header, *image).load());
  return image;
}

}  // namespace memspy::symbolize
