#include "procfs/cgroup.h"

#include "procfs/proc_dir.h"
#include "support/fake_proc_dir.h"
#include "support/result_matchers.h"

namespace memspy::procfs {
namespace {

using ::memspy::testing::FakeProcDir;
using ::memspy::testing::HasErrc;
using ::memspy::testing::IsOk;

constexpr pid_t kMember = 4242;
constexpr std::uint64_t kMiB = 1U << 20;
constexpr std::string_view kV2Mount =
    "31 23 0:27 / /sys/fs/cgroup rw,nosuid,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr std::string_view kV1Mount =
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

TEST(CgroupText, PathsOfBothVersions) {
  const auto paths = parse_cgroup_paths("5:cpu,memory:/a/b\n1:name=systemd:/x:y\n0::/user.slice\n");
  EXPECT_EQ(paths.v1_memory, "/a/b");
  EXPECT_EQ(paths.v2, "/user.slice");
  EXPECT_EQ(paths.longest, "/user.slice");
  const auto none = parse_cgroup_paths("nonsense\n::\n0::\n3:memory\n");
  EXPECT_FALSE(none.v1_memory || none.v2);
}

TEST(CgroupText, MountsWithEscapesAndOptionalFields) {
  const auto mounts = parse_cgroup_mounts(
      std::string(kV2Mount) +
      "36 31 0:33 /docker/1\\040 /mnt/with\\040blank rw shared:1 master:2 - cgroup cgroup "
      "rw,cpu,memory\n"
      "37 31 0:34 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n1 2 3\n - cgroup2 x y\n");
  ASSERT_EQ(mounts.size(), 2U);
  EXPECT_TRUE(mounts[0].v2);
  EXPECT_EQ(mounts[0].mount_point, "/sys/fs/cgroup");
  EXPECT_EQ(mounts[1].root, "/docker/1 ");
  EXPECT_EQ(mounts[1].mount_point, "/mnt/with blank");
}

TEST(CgroupText, LimitsAndKeys) {
  EXPECT_EQ(parse_cgroup_limit("max\n"), std::nullopt);
  EXPECT_EQ(parse_cgroup_limit("9223372036854771712\n"), std::nullopt);
  EXPECT_EQ(parse_cgroup_limit("1048576\n"), kMiB);
  EXPECT_EQ(parse_cgroup_limit(""), std::nullopt);
  EXPECT_EQ(parse_cgroup_limit("-1"), std::nullopt);
  EXPECT_EQ(parse_cgroup_key("low 0\noom 4\noom_kill 3\n", "oom_kill"), 3U);
  EXPECT_EQ(parse_cgroup_key("oom_kill\n", "oom_kill"), std::nullopt);
  EXPECT_EQ(parse_cgroup_key("", "oom_kill"), std::nullopt);
}

TEST(CgroupText, ContainerIds) {
  const std::string id(64, 'a');
  EXPECT_EQ(container_id("/docker/" + id), id);
  EXPECT_EQ(container_id("/kubepods.slice/pod1.slice/cri-containerd-" + id + ".scope"), id);
  EXPECT_EQ(container_id("/docker/" + std::string(64, 'b') + "/docker/" + id), id);
  EXPECT_EQ(container_id("/user.slice/session-4.scope"), "");
  EXPECT_EQ(container_id("/" + id + "a"), "") << "65 digits are no id";
}

TEST(CgroupMemory, V2TakesTheSmallestLimitOnTheWayUp) {
  FakeProcDir fake;
  fake.add(kMember, {});
  fake.write(kMember, "cgroup", "0::/system.slice/app.service/worker\n");
  fake.write_setting("self/mountinfo", kV2Mount);
  const std::string root = "/sys/fs/cgroup/system.slice";
  fake.write_host(root + "/memory.max", "1073741824\n");
  fake.write_host(root + "/memory.current", "900000000\n");
  fake.write_host(root + "/app.service/memory.max", "209715200\n");
  fake.write_host(root + "/app.service/memory.current", "104857600\n");
  fake.write_host(root + "/app.service/worker/memory.max", "max\n");
  fake.write_host(root + "/app.service/worker/memory.high", "52428800\n");
  fake.write_host(root + "/app.service/worker/memory.current", "41943040\n");
  fake.write_host(root + "/app.service/worker/memory.peak", "43943040\n");
  fake.write_host(root + "/app.service/worker/memory.events",
                  "low 0\nhigh 7\nmax 0\noom 2\noom_kill 1\n");
  const auto memory = ProcDir(fake.root(), fake.host_root()).cgroup_memory(Pid{kMember});
  ASSERT_THAT(memory, IsOk());
  EXPECT_EQ(memory->version, 2);
  EXPECT_EQ(memory->group, "/system.slice/app.service/worker");
  EXPECT_EQ(memory->limit_bytes, 200 * kMiB);
  EXPECT_EQ(memory->limit_group, "/system.slice/app.service");
  EXPECT_EQ(memory->usage_bytes, 100 * kMiB) << "of the group that has the limit";
  EXPECT_EQ(memory->high_bytes, 50 * kMiB);
  EXPECT_EQ(memory->peak_bytes, 43943040U);
  EXPECT_EQ(memory->oom_kills, 1U);
}

TEST(CgroupMemory, V2WithoutAnyLimit) {
  FakeProcDir fake;
  fake.add(kMember, {});
  fake.write(kMember, "cgroup", "0::/user.slice\n");
  fake.write_setting("self/mountinfo", kV2Mount);
  fake.write_host("/sys/fs/cgroup/user.slice/memory.max", "max\n");
  fake.write_host("/sys/fs/cgroup/user.slice/memory.current", "4096\n");
  const auto memory = ProcDir(fake.root(), fake.host_root()).cgroup_memory(Pid{kMember});
  ASSERT_THAT(memory, IsOk());
  EXPECT_EQ(memory->limit_bytes, std::nullopt);
  EXPECT_EQ(memory->limit_group, "");
  EXPECT_EQ(memory->usage_bytes, 4096U);
}

TEST(CgroupMemory, V1OnAHybridHost) {
  FakeProcDir fake;
  fake.add(kMember, {});
  fake.write(kMember, "cgroup", "4:memory:/box/inner\n0::/\n");
  fake.write_setting("self/mountinfo", kV1Mount);
  const std::string root = "/sys/fs/cgroup/memory";
  fake.write_host(root + "/memory.limit_in_bytes", "9223372036854771712\n");
  fake.write_host(root + "/box/memory.limit_in_bytes", "209715200\n");
  fake.write_host(root + "/box/memory.usage_in_bytes", "104857600\n");
  fake.write_host(root + "/box/inner/memory.limit_in_bytes", "9223372036854771712\n");
  fake.write_host(root + "/box/inner/memory.usage_in_bytes", "1000\n");
  fake.write_host(root + "/box/inner/memory.stat",
                  "cache 0\nhierarchical_memory_limit 209715200\n");
  fake.write_host(root + "/box/inner/memory.oom_control",
                  "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n");
  const auto memory = ProcDir(fake.root(), fake.host_root()).cgroup_memory(Pid{kMember});
  ASSERT_THAT(memory, IsOk());
  EXPECT_EQ(memory->version, 1);
  EXPECT_EQ(memory->limit_bytes, 200 * kMiB);
  EXPECT_EQ(memory->limit_group, "/box");
  EXPECT_EQ(memory->usage_bytes, 100 * kMiB);
  EXPECT_EQ(memory->oom_kills, 5U);
}

TEST(CgroupMemory, V1LimitAboveWhatAContainerSees) {
  FakeProcDir fake;
  fake.add(kMember, {});
  fake.write(kMember, "cgroup", "4:memory:/docker/1\n");
  fake.write_setting("self/mountinfo",
                     "35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  const std::string root = "/sys/fs/cgroup/memory";
  fake.write_host(root + "/memory.limit_in_bytes", "9223372036854771712\n");
  fake.write_host(root + "/memory.usage_in_bytes", "1000\n");
  fake.write_host(root + "/memory.stat", "hierarchical_memory_limit 209715200\n");
  const auto memory = ProcDir(fake.root(), fake.host_root()).cgroup_memory(Pid{kMember});
  ASSERT_THAT(memory, IsOk());
  EXPECT_EQ(memory->limit_bytes, 200 * kMiB);
  EXPECT_EQ(memory->usage_bytes, 1000U);
}

TEST(CgroupMemory, ATargetOutsideMemspysNamespaceIsAskedThroughItsOwnRoot) {
  FakeProcDir fake;
  fake.add(kMember, {});
  fake.write(kMember, "cgroup", "0::/pod/box\n");
  fake.write_setting("self/mountinfo",
                     "31 23 0:27 /pod/memspy /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  fake.write(kMember, "mountinfo", "31 23 0:27 /pod/box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  fake.write(kMember, "root/sys/fs/cgroup/memory.current", "77\n");
  fake.write(kMember, "root/sys/fs/cgroup/memory.max", "100\n");
  const auto memory = ProcDir(fake.root(), fake.host_root()).cgroup_memory(Pid{kMember});
  ASSERT_THAT(memory, IsOk());
  EXPECT_EQ(memory->usage_bytes, 77U);
  EXPECT_EQ(memory->limit_bytes, 100U);
}

TEST(CgroupMemory, NoControllerIsUnsupported) {
  FakeProcDir fake;
  fake.add(kMember, {});
  fake.write(kMember, "cgroup", "0::/a\n");
  EXPECT_THAT(ProcDir(fake.root(), fake.host_root()).cgroup_memory(Pid{kMember}),
              HasErrc(Errc::kUnsupported));
  fake.write_setting("self/mountinfo", kV2Mount);
  EXPECT_THAT(ProcDir(fake.root(), fake.host_root()).cgroup_memory(Pid{kMember}),
              HasErrc(Errc::kUnsupported));
}

}  // namespace
}  // namespace memspy::procfs
