// Every other parser of procfs over the same text: each must take what is meant for another.
#include <cstdint>
#include <string_view>

#include "procfs/cgroup.h"
#include "procfs/processes.h"
#include "procfs/smaps_rollup.h"
#include "procfs/stat.h"
#include "procfs/status.h"
#include "procfs/users.h"
#include "require.h"

using namespace memspy::procfs;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto stat = parse_stat(text)) {
    MEMSPY_REQUIRE(text.find(stat->comm) != std::string_view::npos);
  }
  static_cast<void>(parse_statm(text));
  if (const auto status = parse_status(text)) MEMSPY_REQUIRE(status->pid.value > 0);
  if (const auto rollup = parse_smaps_rollup(text)) {
    MEMSPY_REQUIRE(rollup->uss_bytes() >= rollup->private_dirty_bytes);
  }
  for (const auto& argument : parse_cmdline(text)) MEMSPY_REQUIRE(argument.size() <= size);
  const auto paths = parse_cgroup_paths(text);
  MEMSPY_REQUIRE(paths.longest.size() <= size);
  for (const auto& mount : parse_cgroup_mounts(text)) MEMSPY_REQUIRE(!mount.mount_point.empty());
  static_cast<void>(parse_cgroup_limit(text));
  static_cast<void>(parse_cgroup_key(text, "oom_kill"));
  const auto id = container_id(text);
  MEMSPY_REQUIRE(id.empty() || id.size() == 64);
  static_cast<void>(is_python_name(text));
  MEMSPY_REQUIRE(python_version_in(text).size() <= 5);
  MEMSPY_REQUIRE(UserNames(text).find(0).size() <= size);
  return 0;
}
