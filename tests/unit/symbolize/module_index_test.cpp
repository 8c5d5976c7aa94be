#include "symbolize/module_index.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "attach/process_vm.h"
#include "base/unique_fd.h"
#include "elf_inputs.h"
#include "support/fake_memory.h"
#include "support/fake_proc_dir.h"
#include "support/result_matchers.h"
#include "symbolize/elf_file.h"
#include "symbolize/mapped_file.h"
#include "symbolize/module.h"

namespace memspy::symbolize {
namespace {

namespace fs = std::filesystem;
using ::memspy::testing::FakeMemory;
using ::memspy::testing::FakeProcDir;
using ::memspy::testing::HasErrc;
using ::memspy::testing::IsOk;
using ::testing::HasSubstr;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "memspy-elf-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// inputs/program.c, running: it has printed the addresses of its symbols and waits.
class Program {
 public:
  explicit Program(const std::string& path, const std::string& library_path = MEMSPY_ELF_INPUTS) {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    EXPECT_EQ(::pipe2(in.data(), O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
    const std::string setting = "LD_LIBRARY_PATH=" + library_path;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      const std::array<const char*, 2> arguments = {path.c_str(), nullptr};
      const std::array<const char*, 2> environment = {setting.c_str(), nullptr};
      ::execve(path.c_str(), const_cast<char**>(arguments.data()),
               const_cast<char**>(environment.data()));
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    keep_.reset(in[1]);
    FILE* lines = ::fdopen(out[0], "r");
    for (auto& address : addresses_) {
      unsigned long value = 0;
      EXPECT_EQ(std::fscanf(lines, "%lx", &value), 1);
      address = RemoteAddr{value};
    }
    std::fclose(lines);
  }
  ~Program() {
    keep_.reset();
    ::waitpid(pid_, nullptr, 0);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  Pid pid() const { return Pid{pid_}; }
  RemoteAddr data() const { return addresses_[0]; }
  RemoteAddr bss() const { return addresses_[1]; }
  RemoteAddr main() const { return addresses_[2]; }
  RemoteAddr library_data() const { return addresses_[3]; }
  RemoteAddr library_bss() const { return addresses_[4]; }
  RemoteAddr runtime() const { return addresses_[5]; }
  RemoteAddr library_function() const { return addresses_[6]; }
  RemoteAddr library_local() const { return addresses_[7]; }

 private:
  pid_t pid_ = -1;
  UniqueFd keep_;
  std::array<RemoteAddr, 8> addresses_;
};

class Index {
 public:
  explicit Index(const Program& program, const procfs::ProcDir& proc = procfs::ProcDir())
      : memory_(program.pid()),
        map_(procfs::ProcDir().maps(program.pid()).value()),
        index_(proc, program.pid(), map_, memory_) {}
  const ModuleIndex* operator->() const { return &index_; }
  const ModuleImage* find(const std::string& name) const {
    for (const auto* module : index_.modules()) {
      if (fs::path(module->path()).filename() == name) return module;
    }
    return nullptr;
  }
  const MemoryMap& map() const { return map_; }
  const MemoryReader& memory() const { return memory_; }

 private:
  attach::ProcessVm memory_;
  MemoryMap map_;
  ModuleIndex index_;
};

bool covers(const std::vector<AddressRange>& ranges, RemoteAddr address) {
  for (const auto& r : ranges) {
    if (address >= r.start && address.value < r.start.value + r.size) return true;
  }
  return false;
}

struct ProgramCase {
  const char* program;
  const char* library;
  bool stripped;
};
class EveryProgram : public ::testing::TestWithParam<ProgramCase> {};

TEST_P(EveryProgram, SymbolsAreWhereTheProgramSaysTheyAre) {
  const auto& [name, library_name, stripped] = GetParam();
  const Program target(elf_input(name));
  const Index index(target);
  ASSERT_FALSE(index->modules().empty());
  const ModuleImage* program = index->modules().front();
  EXPECT_EQ(fs::path(program->path()).filename(), name) << "the executable comes first";
  EXPECT_EQ(program->find_symbol("memspy_program_data"), target.data());
  EXPECT_EQ(program->find_symbol("main"), target.main());
  EXPECT_TRUE(covers(program->writable_segments(), target.data()));
  EXPECT_TRUE(covers(program->writable_segments(), target.bss() + 69999 * sizeof(int)));
  EXPECT_TRUE(covers(program->executable_segments(), target.main()));
  EXPECT_FALSE(covers(program->writable_segments(), target.library_data()));
  const ModuleImage* library = index.find(library_name);
  ASSERT_NE(library, nullptr);
  EXPECT_EQ(library->find_symbol("memspy_exported_data"), target.library_data());
  EXPECT_EQ(library->find_symbol("memspy_exported_bss"), target.library_bss());
  EXPECT_EQ(library->find_symbol("memspy_exported_function"), target.library_function());
  ASSERT_TRUE(library->find_section(".PyRuntime").has_value());
  EXPECT_EQ(library->find_section(".PyRuntime")->start, target.runtime());
  EXPECT_TRUE(covers(library->writable_segments(), target.library_bss()));
  EXPECT_EQ(library->find_symbol("memspy_local_data").has_value(), !stripped);
  EXPECT_EQ(library->note(), stripped ? "stripped: exported symbols only" : "");
  EXPECT_FALSE(library->deleted());
  const Module* found = index->find_module(target.library_bss());
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(static_cast<const ModuleImage*>(found), library);
  EXPECT_EQ(index->find_module(target.library_function()), found);
  EXPECT_EQ(found->build_id(), (*ElfFile::open(elf_input(library_name)))->build_id());
  EXPECT_EQ(index->find_module(RemoteAddr{16}), nullptr);
}
INSTANTIATE_TEST_SUITE_P(ModuleIndex, EveryProgram,
                         ::testing::Values(ProgramCase{"pie", "libgnuhash.so", false},
                                           ProgramCase{"nonpie", "libsysvhash.so", false},
                                           ProgramCase{"pie_stripped", "libstripped.so", true},
                                           ProgramCase{"pie_prelinked", "libprelinked.so", false},
                                           ProgramCase{"pie_onepiece", "libonepiece.so", false}));

// A /proc that has no road to files but those a test adds.
struct RoadlessProc {
  explicit RoadlessProc(Pid target) : pid(target) { fake.add(target.value, {}); }
  void link_root() { fake.link(pid.value, "root", "/"); }
  procfs::ProcDir dir() const { return procfs::ProcDir(fake.root(), fake.host_root()); }
  Pid pid;
  FakeProcDir fake;
};

TEST(ModuleIndexRoads, WithoutAFileTheImageInMemoryAnswers) {
  const Program target(elf_input("pie"));
  const RoadlessProc proc(target.pid());
  const Index index(target, proc.dir());
  const ModuleImage* library = index.find("libgnuhash.so");
  ASSERT_NE(library, nullptr);
  EXPECT_EQ(library->find_symbol("memspy_exported_data"), target.library_data());
  EXPECT_EQ(library->find_symbol("memspy_local_data"), std::nullopt);
  EXPECT_EQ(library->find_section(".PyRuntime"), std::nullopt);
  EXPECT_TRUE(covers(library->writable_segments(), target.library_bss()));
  EXPECT_THAT(library->note(), HasSubstr("exported symbols read from memory"));
  EXPECT_THAT(library->note(), HasSubstr("No such file"));
}

TEST(ModuleIndexRoads, ThroughTheRootOfTheTarget) {
  const Program target(elf_input("pie"));
  RoadlessProc proc(target.pid());
  proc.link_root();
  const Index index(target, proc.dir());
  const ModuleImage* library = index.find("libgnuhash.so");
  ASSERT_NE(library, nullptr);
  EXPECT_EQ(library->find_symbol("memspy_local_data"), target.library_local());
  EXPECT_EQ(library->note(), "");
}

TEST(ModuleIndexRoads, ADeletedFileIsReadThroughMapFilesOrFromMemory) {
  const TemporaryFolder folder;
  fs::copy_file(elf_input("libgnuhash.so"), folder / "libgnuhash.so");
  const Program target(elf_input("pie"), folder.path());
  fs::remove(folder / "libgnuhash.so");
  RoadlessProc proc(target.pid());
  proc.link_root();
  const Index index(target, proc.dir());
  const ModuleImage* library = index.find("libgnuhash.so");
  ASSERT_NE(library, nullptr);
  EXPECT_TRUE(library->deleted());
  EXPECT_EQ(library->find_symbol("memspy_exported_data"), target.library_data());
  EXPECT_THAT(library->note(), HasSubstr("file deleted"));
  if (::geteuid() == 0) {
    const Index live(target);
    EXPECT_EQ(live.find("libgnuhash.so")->find_symbol("memspy_local_data"), target.library_local());
  }
}

TEST(ModuleIndexRoads, AReplacedFileIsNotBelieved) {
  const TemporaryFolder folder;
  fs::copy_file(elf_input("libgnuhash.so"), folder / "libgnuhash.so");
  const Program target(elf_input("pie"), folder.path());
  RoadlessProc proc(target.pid());
  proc.link_root();
  const Index before(target,
                     proc.dir());  // maps are read now, as by a session that started earlier
  fs::copy_file(elf_input("libsysvhash.so"), folder / "new");
  fs::rename(folder / "new", folder / "libgnuhash.so");
  const ModuleImage* library = before.find("libgnuhash.so");
  ASSERT_NE(library, nullptr);
  EXPECT_TRUE(library->deleted());
  EXPECT_THAT(library->note(), HasSubstr("replaced"));
  EXPECT_EQ(library->find_symbol("memspy_exported_data"), target.library_data());
}

TEST(MappedFile, OtherDeviceNumbersAreSettledByContent) {
  const Program target(elf_input("pie"));
  RoadlessProc proc(target.pid());
  proc.link_root();
  const Index index(target);
  auto mapping = index->find_module(target.library_function())->mappings().front();
  mapping.device = 0x1234;  // as overlay file systems report it
  EXPECT_THAT(open_mapped_file(proc.dir(), target.pid(), mapping, false, index.memory()), IsOk());
  EXPECT_THAT(open_mapped_file(proc.dir(), target.pid(), mapping, false, FakeMemory()),
              HasErrc(Errc::kCorrupt));
}

TEST(MappedFile, DevicesAreNotOpened) {
  FakeProcDir fake;
  fake.add(7, {});
  fake.link(7, "map_files/1000-2000", "/dev/zero");
  fake.link(7, "root", "/");
  Mapping mapping;
  mapping.start = {0x1000};
  mapping.end = {0x2000};
  mapping.path = "/dev/zero";
  EXPECT_THAT(open_mapped_file(procfs::ProcDir(fake.root()), Pid{7}, mapping, false, FakeMemory()),
              HasErrc(Errc::kUnsupported));
}

// A file mapped whole for reading, beside the loaded library, is no second module and does not
// move the first one; nor is an executable mapping of something that is not ELF.
TEST(ModuleIndex, OnlyLoadedFilesAreModules) {
  const auto bytes = file_bytes(elf_input("libgnuhash.so"));
  FakeMemory memory;
  memory.add_segment(RemoteAddr{0x10000}, bytes);
  memory.add_segment(RemoteAddr{0x70000}, bytes);
  memory.add_segment(RemoteAddr{0x90000}, std::vector<std::byte>(4096, std::byte{'x'}));
  const auto mapping = [](std::uint64_t start, std::uint64_t end, std::uint64_t offset, bool code,
                          std::uint64_t inode) {
    Mapping m;
    m.start = {start}, m.end = {end}, m.offset = offset, m.executable = code, m.readable = true;
    m.inode = inode, m.device = 5, m.path = "/file" + std::to_string(inode);
    return m;
  };
  const MemoryMap map = {mapping(0x10000, 0x15000, 0, false, 1),  // read whole, by a tool
                         mapping(0x70000, 0x71000, 0, false, 1),
                         mapping(0x71000, 0x72000, 0x1000, true, 1),
                         mapping(0x80000, 0x81000, 0, false, 2),  // data
                         mapping(0x90000, 0x91000, 0, true, 3)};  // jitdump
  const FakeProcDir fake;
  const ModuleIndex index(procfs::ProcDir(fake.root()), Pid{7}, map, memory);
  ASSERT_EQ(index.modules().size(), 1U);
  EXPECT_EQ(index.modules()[0]->path(), "/file1");
  EXPECT_EQ(index.modules()[0]->load_bias(), 0x70000U);
}

}  // namespace
}  // namespace memspy::symbolize
