#include "symbolize/elf_in_memory.h"

#include <elf.h>

#include <cstring>

#include "elf_inputs.h"
#include "support/fake_memory.h"
#include "support/result_matchers.h"
#include "symbolize/elf_file.h"

namespace memspy::symbolize {
namespace {

using ::memspy::testing::FakeMemory;
using ::memspy::testing::HasErrc;
using ::memspy::testing::IsOk;

constexpr std::uint64_t kBias = 0x7f1234000000;

// Lays a file out as a loader would; relocates the pointers of the dynamic section as glibc does.
void load_into(FakeMemory& memory, const std::vector<std::byte>& file, std::uint64_t bias,
               bool relocate) {
  Elf64_Ehdr header;
  std::memcpy(&header, file.data(), sizeof(header));
  const auto phdr = [&](unsigned i) {
    Elf64_Phdr p;
    std::memcpy(&p, file.data() + header.e_phoff + i * sizeof(p), sizeof(p));
    return p;
  };
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto p = phdr(i);
    if (p.p_type != PT_LOAD) continue;
    const std::uint64_t slack = p.p_vaddr & 4095;
    std::vector<std::byte> bytes((slack + p.p_memsz + 4095) & ~std::uint64_t{4095});
    std::memcpy(bytes.data(), file.data() + p.p_offset - slack, slack + p.p_filesz);
    memory.add_segment(RemoteAddr{bias + p.p_vaddr - slack}, std::move(bytes));
  }
  if (!relocate) return;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto p = phdr(i);
    if (p.p_type != PT_DYNAMIC) continue;
    for (std::uint64_t at = p.p_vaddr + bias;; at += sizeof(Elf64_Dyn)) {
      auto entry = read<Elf64_Dyn>(memory, RemoteAddr{at}).value();
      if (entry.d_tag == DT_NULL) break;
      if (entry.d_tag == DT_SYMTAB || entry.d_tag == DT_STRTAB || entry.d_tag == DT_HASH ||
          entry.d_tag == DT_GNU_HASH) {
        entry.d_un.d_ptr += bias;
        memory.write(RemoteAddr{at}, entry);
      }
    }
  }
}

struct ImageCase {
  const char* library;
  bool relocate;
};
class EveryImage : public ::testing::TestWithParam<ImageCase> {};

TEST_P(EveryImage, HasTheExportedSymbolsOfItsFile) {
  const std::string path = elf_input(GetParam().library);
  const auto file = ElfFile::open(path);
  ASSERT_THAT(file, IsOk());
  FakeMemory memory;
  load_into(memory, file_bytes(path), kBias, GetParam().relocate);
  const RemoteAddr header{kBias + (*file)->segments().front().address};
  const auto image = ElfInMemory::read(memory, header);
  ASSERT_THAT(image, IsOk());
  EXPECT_EQ((*image)->build_id(), (*file)->build_id());
  EXPECT_EQ((*image)->segments().size(), (*file)->segments().size());
  for (const char* name : {"memspy_exported_data", "memspy_exported_bss", "memspy_runtime",
                           "memspy_exported_function", "memspy_local_address"}) {
    const auto in_memory = (*image)->find_symbol(name);
    ASSERT_TRUE(in_memory.has_value()) << name;
    EXPECT_EQ(in_memory->address, (*file)->find_symbol(name)->address) << name;
  }
  EXPECT_FALSE((*image)->find_symbol("memspy_local_data"));
  EXPECT_FALSE((*image)->find_symbol("memspy_undefined_elsewhere"));
  EXPECT_FALSE((*image)->has_symtab());
  EXPECT_FALSE((*image)->find_section(".PyRuntime"));
}
INSTANTIATE_TEST_SUITE_P(
    ElfInMemory, EveryImage,
    ::testing::Values(ImageCase{"libgnuhash.so", true}, ImageCase{"libgnuhash.so", false},
                      ImageCase{"libsysvhash.so", true}, ImageCase{"libprelinked.so", true},
                      ImageCase{"libonepiece.so", false}, ImageCase{"libstripped.so", true}));

TEST(ElfInMemory, RefusesWhatIsNone) {
  FakeMemory memory;
  EXPECT_THAT(ElfInMemory::read(memory, RemoteAddr{0x1000}), HasErrc(Errc::kUnreadable));
  memory.add_segment(RemoteAddr{0x1000}, 4096);
  EXPECT_THAT(ElfInMemory::read(memory, RemoteAddr{0x1000}), HasErrc(Errc::kUnsupported));
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  memory.write(RemoteAddr{0x1000}, header);
  EXPECT_THAT(ElfInMemory::read(memory, RemoteAddr{0x1000}), HasErrc(Errc::kUnsupported));
}

// Every byte of the headers, the dynamic section and the hash table turned over, and every cut of
// the first segment: an answer or an error, soon.
TEST(ElfInMemory, SurvivesHostileBytes) {
  const auto bytes = file_bytes(elf_input("libgnuhash.so"));
  const auto use = [](const std::vector<std::byte>& file) {
    FakeMemory memory;
    memory.add_segment(RemoteAddr{kBias}, file);
    const auto image = ElfInMemory::read(memory, RemoteAddr{kBias});
    if (image) static_cast<void>((*image)->find_symbol("memspy_exported_data"));
  };
  for (std::size_t length = 0; length < bytes.size(); length += 97) {
    use({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)});
  }
  for (std::size_t at = 4; at < 2048; ++at) {
    for (const auto value : {std::byte{0x00}, std::byte{0x7f}, std::byte{0xff}}) {
      auto broken = bytes;
      broken[at] = value;
      use(broken);
    }
  }
}

}  // namespace
}  // namespace memspy::symbolize
