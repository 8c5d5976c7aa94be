#include "procfs/users.h"

#include <spdlog/fmt/fmt.h>

#include "procfs/text.h"

namespace memspy::procfs {

UserNames::UserNames(std::string_view passwd) {
  std::string_view line;
  while (text::next_line(passwd, line)) {  // "name:password:uid:gid:…"
    const auto name_end = line.find(':');
    const auto uid_at =
        name_end == std::string_view::npos ? name_end : line.find(':', name_end + 1);
    if (uid_at == std::string_view::npos) continue;
    const auto rest = line.substr(uid_at + 1);
    const auto uid = text::number<std::uint32_t>(rest.substr(0, rest.find(':')));
    if (uid) names_.try_emplace(*uid, line.substr(0, name_end));
  }
}

std::string UserNames::find(std::uint32_t uid) const {
  const auto it = names_.find(uid);
  return it == names_.end() ? "" : it->second;
}

std::string UserNames::label(std::uint32_t uid) const {
  const auto name = find(uid);
  return name.empty() ? fmt::format("uid {}", uid) : fmt::format("uid {} ({})", uid, name);
}

}  // namespace memspy::procfs
