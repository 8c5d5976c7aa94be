// Core files: one of a real process, made by the kernel's dumper or by gcore, and built ones.
#include "attach/core_image.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <fstream>

#include "attach/core_format.h"
#include "attach/process_image.h"
#include "support/result_matchers.h"
#include "support/temp_dir.h"
#include "unit/attach/child.h"
#include "unit/attach/core_builder.h"

namespace memspy::attach {
namespace {

using testing::HasErrc;
using testing::IsOk;

constexpr std::size_t kCorePage = 4096;

Result<std::unique_ptr<ProcessImage>> image_of(const std::string& file,
                                               const std::string& executable = "") {
  static std::deque<std::string> kept;  // an image looks into the bytes of its core
  kept.push_back(file);
  return image_of_core(std::as_bytes(std::span(kept.back())), {}, executable);
}

std::string text(const ProcessImage& image, std::uint64_t at, std::size_t size) {
  std::string out(size, '?');
  out.resize(image.read_some(RemoteAddr{at}, std::as_writable_bytes(std::span(out))));
  return out;
}

TEST(CoreImageTest, ReadsSegmentsFilesAndThreads) {
  const testing::TempDir folder;
  const std::string library = folder.file("lib.so");
  std::ofstream(library) << std::string(kCorePage, 'L') << std::string(kCorePage, 'M');
  CoreBuilder core;
  core.add_segment(0x10000, std::string(kCorePage, 'a'), kCorePage, PF_R | PF_W);
  core.add_segment(0x20000, std::string(10, 'L'), 2 * kCorePage, PF_R);  // the rest is in the file
  core.add_segment(0x30000, "", kCorePage, PF_R | PF_W);  // left out, and nowhere else
  core.add_file(0x20000, 0x22000, 0, library);
  core.add_file(0x50000, 0x51000, 1, library);  // in no segment at all
  core.set_process(4321, 3);
  const auto image = image_of(core.build());
  ASSERT_THAT(image, IsOk());
  EXPECT_EQ((*image)->facts().process.pid.value, 4321);
  EXPECT_EQ((*image)->facts().threads, 3u);
  EXPECT_EQ((*image)->facts().remarks, std::vector<std::string>{});
  EXPECT_EQ(text(**image, 0x10ffe, 4), "aa");
  EXPECT_EQ((*image)->view(RemoteAddr{0x10000}).size(), kCorePage);
  EXPECT_EQ(text(**image, 0x20ffe, 4), "LLMM");
  EXPECT_EQ(text(**image, 0x50000, 3), "MMM");
  EXPECT_EQ(text(**image, 0x30000, 1), "");
  EXPECT_EQ(text(**image, 0x1000, 1), "");
  ASSERT_EQ((*image)->map().size(), 4u);
  EXPECT_EQ((*image)->map()[1].path, library);
  EXPECT_EQ((*image)->map()[3].offset, kCorePage);
  EXPECT_EQ((*image)->pages()[1].rss_bytes, 10u);
  EXPECT_TRUE((*image)->map()[0].anonymous());
}

TEST(CoreImageTest, NamesStackHeapAndProgram) {
  CoreBuilder core;
  core.add_segment(0x400000, std::string(kCorePage, 'p'), kCorePage, PF_R | PF_X);
  core.add_segment(0x401000, std::string(kCorePage, 'b'), kCorePage, PF_R | PF_W);  // .bss
  core.add_segment(0x900000, std::string(kCorePage, 'h'), kCorePage, PF_R | PF_W);
  core.add_segment(0x7f0000, std::string(kCorePage, 'x'), kCorePage, PF_R);
  core.add_segment(0x7ffff000, std::string(kCorePage, 's'), kCorePage, PF_R | PF_W);
  core.add_file(0x400000, 0x401000, 0, "/no/such/program");
  core.add_auxv(AT_PHDR, 0x400040);
  core.add_auxv(AT_RANDOM, 0x7ffff123);
  const std::string file = core.build();
  const auto parsed = parse_core(std::as_bytes(std::span(file)));
  ASSERT_THAT(parsed, IsOk());
  const MemoryMap map = map_of(*parsed);
  ASSERT_EQ(map.size(), 5u);
  EXPECT_EQ(map[1].path, "");
  EXPECT_EQ(map[2].path, "");  // not writable
  EXPECT_EQ(map[3].path, "[heap]");
  EXPECT_EQ(map[4].path, "[stack]");
}

// The program is elsewhere than the core says; a library was built anew since.
TEST(CoreImageTest, ChecksFilesByTheirBuildId) {
  const testing::TempDir folder;
  const auto elf = [](const std::string& id, char fill) {
    return small_elf(id) + std::string(2 * kCorePage - small_elf(id).size(), fill);
  };
  std::ofstream(folder.file("program"), std::ios::binary) << elf("one", 'p');
  std::ofstream(folder.file("library"), std::ios::binary) << elf("new", 'n');
  CoreBuilder core;
  core.add_segment(0x400000, elf("one", 'p').substr(0, kCorePage), 2 * kCorePage, PF_R);
  core.add_segment(0x500000, elf("old", 'o').substr(0, kCorePage), 2 * kCorePage, PF_R);
  core.add_file(0x400000, 0x402000, 0, "/no/such/program");
  core.add_file(0x500000, 0x502000, 0, folder.file("library"));
  core.add_auxv(AT_PHDR, 0x400040);
  const auto image = image_of(core.build(), folder.file("program"));
  ASSERT_THAT(image, IsOk());
  EXPECT_EQ(text(**image, 0x401ffe, 2), "pp");
  EXPECT_EQ(text(**image, 0x501ffe, 2), "");
  ASSERT_EQ((*image)->facts().remarks.size(), 1u);
  EXPECT_NE((*image)->facts().remarks[0].find("another build"), std::string::npos);
}

TEST(CoreImageTest, RefusesWhatIsNoCore) {
  EXPECT_THAT(image_of(""), HasErrc(Errc::kUsage));
  EXPECT_THAT(image_of("#!/bin/sh\n"), HasErrc(Errc::kUsage));
  EXPECT_THAT(image_of(small_elf("x")), HasErrc(Errc::kUsage));
  EXPECT_THAT(open_core("/no/such/core", ""), HasErrc(Errc::kUsage));
  EXPECT_THAT(open_core("/dev/null", ""), HasErrc(Errc::kUsage));
  CoreBuilder core;
  core.add_segment(0x10000, "abc", kCorePage, PF_R);
  std::string other = core.build();
  other[EI_CLASS] = ELFCLASS32;
  EXPECT_THAT(image_of(other), HasErrc(Errc::kUnsupported));
}

// Cut at any byte: an error, or an image that says what is missing and reads what is there.
TEST(CoreImageTest, AShortenedCoreIsPartialOrRefused) {
  CoreBuilder core;
  core.add_segment(0x10000, std::string(600, 'a'), 600, PF_R | PF_W);
  core.add_segment(0x20000, std::string(600, 'b'), 600, PF_R | PF_W);
  core.add_file(0x20000, 0x20258, 0, "/no/such/file");
  core.set_process(7, 2);
  const std::string whole = core.build();
  ASSERT_THAT(image_of(whole), IsOk());
  std::size_t partial = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    const auto image = image_of(cut);
    if (!image.has_value()) continue;
    ++partial;
    EXPECT_FALSE((*image)->facts().remarks.empty()) << size;
    for (const std::uint64_t at : {0x10000U, 0x20000U}) {
      const std::string got = text(**image, at, 600);
      EXPECT_EQ(got, std::string(got.size(), at == 0x10000 ? 'a' : 'b')) << size;
    }
  }
  EXPECT_GE(partial, 1200u);
}

#ifndef __SANITIZE_ADDRESS__  // a core of its shadow memory takes minutes
// What gcore makes of a real process reads as the process itself.
TEST(CoreImageTest, AgreesWithTheProcessItIsOf) {
  const testing::TempDir folder;
  auto* const memory = static_cast<char*>(
      ::mmap(nullptr, 8 * kCorePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CountingChild child([&](CountingChild& self) {
    for (std::size_t i = 0; i < 8 * kCorePage; ++i) memory[i] = static_cast<char>(i % 253);
    self.ready();
    for (;;) ::pause();
  });
  const procfs::ProcDir proc;
  const std::string pid = std::to_string(child.pid().value);
  const std::string command = "gcore -o " + folder.file("core") + " " + pid + " >/dev/null 2>&1";
  if (std::system("command -v gcore >/dev/null") != 0) GTEST_SKIP() << "gdb's gcore is missing";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto live = take_image(proc, child.pid(), {});
  const auto core = open_core(folder.file("core." + pid), "");
  ASSERT_THAT(live, IsOk());
  ASSERT_THAT(core, IsOk());
  const auto at = reinterpret_cast<std::uintptr_t>(memory);
  EXPECT_EQ(text(**core, at, 8 * kCorePage), text(**live, at, 8 * kCorePage));
  EXPECT_EQ(static_cast<unsigned char>(text(**core, at + 300, 1)[0]), 300 % 253);
  EXPECT_EQ((*core)->facts().process.pid, child.pid());
  EXPECT_EQ((*core)->facts().threads, 1u);
  // Constants of this program: in the core or in its file, and equal.
  const auto constant = reinterpret_cast<std::uintptr_t>(&kCorePage);
  EXPECT_EQ(text(**core, constant, 8), text(**live, constant, 8));
  EXPECT_EQ(text(**core, constant, 8).size(), 8u);
  std::size_t same = 0, compared = 0;
  for (const Mapping& mapping : (*live)->map()) {
    if (!mapping.writable || mapping.path.starts_with("[")) continue;
    ++compared;
    const std::string bytes = text(**live, mapping.start.value, mapping.size());
    same += bytes == text(**core, mapping.start.value, mapping.size()) ? 1 : 0;
    EXPECT_NE(find_mapping((*core)->map(), mapping.start), nullptr);
  }
  EXPECT_EQ(same, compared);
  EXPECT_GT(compared, 3u);
  ::munmap(memory, 8 * kCorePage);
}
#endif

}  // namespace
}  // namespace memspy::attach
