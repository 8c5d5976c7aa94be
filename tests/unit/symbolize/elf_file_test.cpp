#include "symbolize/elf_file.h"

#include <elf.h>
#include <unistd.h>

#include <cstring>

#include "elf_inputs.h"
#include "support/result_matchers.h"

namespace memspy::symbolize {
namespace {

using ::memspy::testing::HasErrc;
using ::memspy::testing::IsOk;

class EveryLibrary : public ::testing::TestWithParam<const char*> {};

TEST_P(EveryLibrary, HasItsExportedSymbols) {
  const auto elf = ElfFile::open(elf_input(GetParam()));
  ASSERT_THAT(elf, IsOk());
  EXPECT_TRUE((*elf)->position_independent());
  EXPECT_EQ((*elf)->build_id().size(), 40U) << "sha1";
  const auto data = (*elf)->find_symbol("memspy_exported_data");
  ASSERT_TRUE(data.has_value());
  EXPECT_EQ(data->size, sizeof(int));
  EXPECT_TRUE((*elf)->find_symbol("memspy_exported_function").has_value());
  EXPECT_FALSE((*elf)->find_symbol("memspy_undefined_elsewhere").has_value());
  EXPECT_FALSE((*elf)->find_symbol("memspy_thread_local").has_value()) << "its value is no address";
  EXPECT_FALSE((*elf)->find_symbol("").has_value());
  const auto section = (*elf)->find_section(".PyRuntime");
  const auto runtime = (*elf)->find_symbol("memspy_runtime");
  ASSERT_TRUE(section && runtime);
  EXPECT_EQ(section->address, runtime->address);
  EXPECT_EQ(section->size, 64U);
  EXPECT_FALSE((*elf)->find_section(".comment").has_value()) << "not loaded";
}
INSTANTIATE_TEST_SUITE_P(ElfFile, EveryLibrary,
                         ::testing::Values("libgnuhash.so", "libsysvhash.so", "libprelinked.so",
                                           "libonepiece.so", "libstripped.so"));

TEST(ElfFile, LocalSymbolsNeedASymtab) {
  const auto full = ElfFile::open(elf_input("libgnuhash.so"));
  const auto stripped = ElfFile::open(elf_input("libstripped.so"));
  ASSERT_TRUE(full && stripped);
  EXPECT_TRUE((*full)->has_symtab());
  EXPECT_TRUE((*full)->find_symbol("memspy_local_data").has_value());
  EXPECT_FALSE((*stripped)->has_symtab());
  EXPECT_TRUE((*stripped)->has_sections());
  EXPECT_FALSE((*stripped)->find_symbol("memspy_local_data").has_value());
}

TEST(ElfFile, TellsKindsApart) {
  const auto pie = ElfFile::open(elf_input("pie"));
  const auto nonpie = ElfFile::open(elf_input("nonpie"));
  const auto prelinked = ElfFile::open(elf_input("libprelinked.so"));
  ASSERT_TRUE(pie && nonpie && prelinked);
  EXPECT_TRUE((*pie)->position_independent());
  EXPECT_FALSE((*nonpie)->position_independent());
  EXPECT_EQ((*pie)->segments().front().address, 0U);
  EXPECT_EQ((*prelinked)->segments().front().address, 0x31000000U);
}

TEST(ElfFile, RefusesWhatIsNone) {
  EXPECT_THAT(ElfFile::open("/nonexistent"), HasErrc(Errc::kUnreadable));
  EXPECT_THAT(ElfFile::open("/dev/null").error().code, ::testing::Ne(Errc::kInternal));
  EXPECT_THAT(ElfFile::from_bytes({}, "empty").error().code,
              ::testing::AnyOf(Errc::kUnsupported, Errc::kCorrupt));
  std::vector<std::byte> text(100, std::byte{'x'});
  EXPECT_THAT(ElfFile::from_bytes(text, "text"), HasErrc(Errc::kUnsupported));
}

// Every prefix of a real file, and every byte of its headers turned over: no crash, no hang.
TEST(ElfFile, SurvivesHostileBytes) {
  const auto bytes = file_bytes(elf_input("libstripped.so"));
  const auto use = [](std::vector<std::byte> input) {
    const auto elf = ElfFile::from_bytes(std::move(input), "hostile");
    if (!elf) return;
    static_cast<void>((*elf)->find_symbol("memspy_exported_data"));
    static_cast<void>((*elf)->find_section(".PyRuntime"));
  };
  for (std::size_t length = 0; length < bytes.size(); length += 61) {
    use({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)});
  }
  for (std::size_t at = 4; at < sizeof(Elf64_Ehdr) + 8 * sizeof(Elf64_Phdr); ++at) {
    for (const auto value : {std::byte{0x00}, std::byte{0x7f}, std::byte{0xff}}) {
      auto broken = bytes;
      broken[at] = value;
      use(std::move(broken));
    }
  }
}

TEST(BuildId, IsFoundAmongOtherNotes) {
  const auto note = [](std::uint32_t type, std::string name, std::string body) {
    const Elf64_Nhdr header{static_cast<std::uint32_t>(name.size()),
                            static_cast<std::uint32_t>(body.size()), type};
    std::string out(reinterpret_cast<const char*>(&header), sizeof(header));
    name.resize((name.size() + 3) / 4 * 4);
    body.resize((body.size() + 3) / 4 * 4);
    return out + name + body;
  };
  const auto find = [](const std::string& notes) {
    return find_build_id(std::as_bytes(std::span(notes.data(), notes.size())));
  };
  const std::string gnu("GNU\0", 4);
  EXPECT_EQ(find(note(1, gnu, "abi") + note(NT_GNU_BUILD_ID, gnu, "\x01\xaf")), "01af");
  EXPECT_EQ(find(note(NT_GNU_BUILD_ID, "Go\0", "\x01\xaf")), "");
  EXPECT_EQ(find(""), "");
  EXPECT_EQ(find(std::string(12, '\xff')), "") << "sizes near 2^32";
  EXPECT_EQ(find(note(NT_GNU_BUILD_ID, gnu, std::string(100, 'x'))), "") << "no id is that long";
  EXPECT_EQ(find(note(NT_GNU_BUILD_ID, gnu, "\x01\xaf").substr(0, 17)), "") << "cut short";
}

TEST(SymbolTable, GlobalsWinOverLocals) {
  SymbolTable table;
  table.add("x", {1, 0}, false);
  table.add("x", {2, 0}, false);
  EXPECT_EQ(table.find("x")->address, 1U);
  table.add("x", {3, 0}, true);
  table.add("x", {4, 0}, true);
  EXPECT_EQ(table.find("x")->address, 3U);
  EXPECT_FALSE(table.find("y"));
}

TEST(LoadBias, FollowsTheSegmentThatHoldsTheOffset) {
  // As a post-link optimiser lays files out: two pieces of code with different distances.
  const std::vector<ElfSegment> segments = {
      {0x0, 0x1000, 0x0, 0x1000, true, false, false},
      {0x11000, 0x2000, 0x1000, 0x2000, true, false, true},
      {0x2003f0, 0x1000, 0x33f0, 0x1000, true, true, false},
      {0x400000, 0x1000, 0x5000, 0x1000, true, false, true},
  };
  constexpr std::uint64_t kBias = 0x7f0000000000;
  EXPECT_EQ(bias_of_mapping(segments, kBias, 0, false), kBias);
  EXPECT_EQ(bias_of_mapping(segments, kBias + 0x11000, 0x1000, true), kBias);
  EXPECT_EQ(bias_of_mapping(segments, kBias + 0x12000, 0x2000, true), kBias) << "split by mprotect";
  EXPECT_EQ(bias_of_mapping(segments, kBias + 0x400000, 0x5000, true), kBias);
  EXPECT_EQ(bias_of_mapping(segments, kBias + 0x200000, 0x3000, false), kBias)
      << "page before p_offset";
  EXPECT_EQ(bias_of_mapping(segments, kBias, 0x9000, false), std::nullopt);
  EXPECT_EQ(bias_of_mapping({}, kBias, 0, false), std::nullopt);
}

}  // namespace
}  // namespace memspy::symbolize
