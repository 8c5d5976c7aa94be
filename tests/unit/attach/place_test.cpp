#include "attach/place.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "support/temp_dir.h"

namespace memspy::attach {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kHostPids = "pid:[4026531836]";
constexpr const char* kOtherPids = "pid:[4026532201]";
const std::string kId(64, 'a');

class Place : public ::testing::Test {
 protected:
  void process(const std::string& name, const char* pids, const char* root,
               const std::string& cgroup) {
    const fs::path folder = fs::path(proc_.path()) / name;
    fs::create_directories(folder / "ns");
    fs::create_symlink(pids, folder / "ns/pid");
    fs::create_symlink(root, folder / "ns/mnt");
    std::ofstream(folder / "cgroup") << "0::" << cgroup << "\n";
  }
  std::string describe(bool in_container = false) {
    return describe_place(procfs::ProcDir(proc_.path()), Pid{42}, in_container);
  }
  memspy::testing::TempDir proc_;
};

TEST_F(Place, on_the_host) {
  process("self", kHostPids, "mnt:[1]", "/");
  process("42", kOtherPids, "mnt:[2]", "/docker/" + kId);
  EXPECT_EQ(describe(), "on the host; the process is in container aaaaaaaaaaaa");
}

TEST_F(Place, on_the_host_beside_a_process_of_the_host) {
  process("self", kHostPids, "mnt:[1]", "/");
  process("42", kHostPids, "mnt:[1]", "/user.slice");
  EXPECT_EQ(describe(), "on the host; the process is in no container");
}

TEST_F(Place, one_for_each_node) {
  process("self", kHostPids, "mnt:[3]", "/");
  process("42", kOtherPids, "mnt:[2]", "/");
  EXPECT_THAT(describe(true), StartsWith("in a container with the PIDs of the host"));
  EXPECT_THAT(describe(true), HasSubstr("the process is in a container, or a PID namespace"));
}

TEST_F(Place, one_for_each_node_where_no_file_says_so) {
  process("1", kHostPids, "mnt:[1]", "/");
  process("self", kHostPids, "mnt:[3]", "/");
  process("42", kOtherPids, "mnt:[2]", "/");
  EXPECT_THAT(describe(false), StartsWith("in a container with the PIDs of the host"));
}

TEST_F(Place, a_namespace_within_its_own) {
  process("self", kOtherPids, "mnt:[3]", "/");
  process("42", "pid:[4026532999]", "mnt:[2]", "/");
  EXPECT_THAT(describe(true), StartsWith("in a container, or PID namespace, and the process in"));
}

TEST_F(Place, a_debug_container_or_a_sidecar) {
  process("self", kOtherPids, "mnt:[3]", "/");
  process("42", kOtherPids, "mnt:[2]", "/");
  EXPECT_THAT(describe(true), StartsWith("beside the process' container, in its PID namespace"));
}

TEST_F(Place, in_the_container_of_the_process) {
  process("self", kOtherPids, "mnt:[2]", "/");
  process("42", kOtherPids, "mnt:[2]", "/");
  EXPECT_THAT(describe(true), StartsWith("inside the process' own container, or PID namespace"));
}

TEST_F(Place, in_its_container_with_the_pids_of_the_host) {
  process("self", kHostPids, "mnt:[2]", "/");
  process("42", kHostPids, "mnt:[2]", "/");
  EXPECT_EQ(describe(true), "inside the process' own container, which has the PIDs of the host");
}

}  // namespace
}  // namespace memspy::attach
