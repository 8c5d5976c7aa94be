#include "procfs/stat.h"

#include <unistd.h>

#include <array>

#include <spdlog/fmt/fmt.h>

#include "procfs/text.h"

namespace memspy::procfs {
namespace {

std::uint64_t page_bytes() {
  static const auto kSize = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return kSize;
}

Error corrupt(std::string_view file, std::string_view reason) {
  return make_error(Errc::kCorrupt, fmt::format("{}: {}", file, reason));
}

// Fields 4… of stat by their number in proc(5); signed ones (ppid of a kernel thread is 0, tty -1).
class NumberedFields {
 public:
  explicit NumberedFields(std::string_view rest) {
    while (count_ < values_.size()) {
      const auto field = text::number<std::int64_t>(text::next_word(rest));
      // A field above 2^63 (a stack limit, a signal mask) is none of ours: keep its place.
      if (!field && text::skip_blanks(rest).empty()) break;
      values_[count_++] = field.value_or(0);
    }
  }
  std::size_t last() const { return kFirst + count_ - 1; }
  std::int64_t at(std::size_t number) const { return values_[number - kFirst]; }
  std::uint64_t positive(std::size_t number) const {
    return at(number) < 0 ? 0 : static_cast<std::uint64_t>(at(number));
  }
  Pid pid(std::size_t number) const { return Pid{static_cast<pid_t>(at(number))}; }

 private:
  static constexpr std::size_t kFirst = 4;
  std::array<std::int64_t, 36> values_{};  // up to field 39, processor
  std::size_t count_ = 0;
};

}  // namespace

std::uint64_t Statm::rss_bytes() const { return resident_pages * page_bytes(); }
std::uint64_t Statm::vms_bytes() const { return size_pages * page_bytes(); }

Result<Stat> parse_stat(std::string_view input) {
  Stat stat;
  std::string_view rest = input;
  if (!text::take_number(rest, stat.pid.value)) return corrupt("stat", "no pid");
  // comm is free text, so the last ')' is the only reliable end of it.
  const auto open = rest.find('(');
  const auto close = rest.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    return corrupt("stat", "no (comm)");
  }
  stat.comm = rest.substr(open + 1, close - open - 1);
  rest = text::trim(rest.substr(close + 1));
  const std::string_view state = text::next_word(rest);
  if (state.size() != 1) return corrupt("stat", "no state");
  stat.state = state.front();
  const NumberedFields fields(rest);
  constexpr std::size_t kStartTime = 22;
  if (fields.last() < kStartTime)
    return corrupt("stat", fmt::format("ends at field {}", fields.last()));
  stat.ppid = fields.pid(4);
  stat.pgrp = fields.pid(5);
  stat.session = fields.pid(6);
  stat.flags = fields.positive(9);
  stat.minor_faults = fields.positive(10);
  stat.major_faults = fields.positive(12);
  stat.user_ticks = fields.positive(14);
  stat.system_ticks = fields.positive(15);
  stat.threads = fields.positive(20);
  stat.start_ticks = fields.positive(kStartTime);
  stat.vsize_bytes = fields.positive(23);
  stat.rss_pages = fields.positive(24);
  if (fields.last() >= 39) stat.processor = static_cast<int>(fields.at(39));
  return stat;
}

Result<Statm> parse_statm(std::string_view input) {
  Statm statm;
  std::string_view rest = text::trim(input);
  const std::array<std::uint64_t*, 6> fields = {&statm.size_pages,           &statm.resident_pages,
                                                &statm.shared_pages,         &statm.text_pages,
                                                nullptr /* lib, always 0 */, &statm.data_pages};
  for (auto* field : fields) {
    const auto value = text::number<std::uint64_t>(text::next_word(rest));
    if (!value) return corrupt("statm", "fewer than 6 numbers");
    if (field != nullptr) *field = *value;
  }
  return statm;
}

std::vector<std::string> parse_cmdline(std::string_view input) {
  std::vector<std::string> arguments;
  const bool overwritten =
      input.find('\0') == std::string_view::npos ||
      input.find_first_not_of('\0', input.find('\0')) == std::string_view::npos;
  while (!input.empty()) {
    const auto end = input.find('\0');
    arguments.emplace_back(input.substr(0, end));
    input = end == std::string_view::npos ? std::string_view{} : input.substr(end + 1);
  }
  // setproctitle fills what is left of the old arguments with NULs or blanks.
  if (overwritten && !arguments.empty()) {
    arguments.resize(1);
    arguments[0] = text::trim(arguments[0]);
  }
  if (arguments.size() == 1 && arguments[0].empty()) arguments.clear();
  return arguments;
}

}  // namespace memspy::procfs
