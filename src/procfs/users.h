// Names of user ids, from the host's /etc/passwd. Users of a directory service have no name here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "procfs/proc_dir.h"

namespace memspy::procfs {

class UserNames {
 public:
  explicit UserNames(std::string_view passwd);
  explicit UserNames(const ProcDir& proc) : UserNames(proc.host_file("/etc/passwd").value_or("")) {}
  std::string find(std::uint32_t uid) const;   // "" when unknown
  std::string label(std::uint32_t uid) const;  // "uid 1000 (alice)", "uid 4711"

 private:
  std::unordered_map<std::uint32_t, std::string> names_;
};

}  // namespace memspy::procfs
