#include "procfs/smaps_rollup.h"

#include "procfs/text.h"

namespace memspy::procfs {

Result<SmapsRollup> parse_smaps_rollup(std::string_view input) {
  if (text::trim(input).empty()) {
    return make_error(Errc::kUnsupported, "smaps_rollup is empty: the process has no memory");
  }
  struct Line {
    std::string_view key;
    std::uint64_t SmapsRollup::*field;
  };
  constexpr Line kLines[] = {{"Rss", &SmapsRollup::rss_bytes},
                             {"Pss", &SmapsRollup::pss_bytes},
                             {"Shared_Clean", &SmapsRollup::shared_clean_bytes},
                             {"Shared_Dirty", &SmapsRollup::shared_dirty_bytes},
                             {"Private_Clean", &SmapsRollup::private_clean_bytes},
                             {"Private_Dirty", &SmapsRollup::private_dirty_bytes},
                             {"Anonymous", &SmapsRollup::anonymous_bytes},
                             {"LazyFree", &SmapsRollup::lazy_free_bytes},
                             {"AnonHugePages", &SmapsRollup::anon_huge_bytes},
                             {"Swap", &SmapsRollup::swap_bytes},
                             {"SwapPss", &SmapsRollup::swap_pss_bytes}};
  SmapsRollup rollup;
  bool has_rss = false;
  std::string_view line;
  while (text::next_line(input, line)) {
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const auto key = line.substr(0, colon);
    std::string_view rest = line.substr(colon + 1);
    const auto count = text::number<std::uint64_t>(text::next_word(rest));
    if (!count || *count > UINT64_MAX / 1024 / 2) continue;
    for (const auto& known : kLines) {
      if (known.key == key) rollup.*known.field = *count * 1024;
    }
    has_rss = has_rss || key == "Rss";
  }
  if (!has_rss) return make_error(Errc::kCorrupt, "smaps_rollup: no Rss line");
  return rollup;
}

}  // namespace memspy::procfs
