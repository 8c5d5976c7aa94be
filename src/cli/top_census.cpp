#include "cli/top_census.h"

#include <spdlog/fmt/fmt.h>

#include "attach/process_image.h"
#include "base/byte_units.h"
#include "base/digits.h"
#include "base/duration.h"
#include "cli/top_session.h"
#include "heap/heap_look.h"
#include "recording/text.h"
#include "report/heap_text.h"

namespace memspy::cli {
namespace {

using report::HeapGroup;

std::vector<CensusRow> rows_of(const report::HeapCensus& census,
                               const std::map<std::string, std::uint64_t>* before) {
  std::vector<CensusRow> rows;
  for (const report::HeapRow& row : census.rows) {
    CensusRow& out = rows.emplace_back(CensusRow{row, std::nullopt});
    if (before == nullptr) continue;
    const auto was = before->find(row.name);
    out.grown_bytes =
        static_cast<std::int64_t>(row.bytes - (was == before->end() ? 0 : was->second));
  }
  return rows;
}

std::string facts_of(const snapshot::Look& look, const TopCensus& census) {
  const snapshot::Header& header = look.snapshot->header;
  std::string text =
      fmt::format("{} objects, {}", grouped_digits(census.objects), format_bytes(census.bytes));
  if (header.rss_bytes > 0 && !look.snapshot->ledger.empty()) {
    const auto rss = static_cast<double>(header.rss_bytes);
    const auto rest = static_cast<double>(report::unexplained_bytes(*look.snapshot));
    text += fmt::format("; {} of RSS explained", report::percent(std::max(rss - rest, 0.0), rss));
  }
  if (header.pause.count() > 0) text += ", paused " + format_duration(header.pause);
  // 2023-11-14T22:13:20.250Z: on a screen the time of day is enough.
  return text + ", at " + recording::utc_time(header.wall_time).substr(11, 8) + " UTC";
}

std::map<std::string, std::uint64_t> bytes_by_name(const std::vector<CensusRow>& rows) {
  std::map<std::string, std::uint64_t> bytes;
  for (const CensusRow& row : rows) bytes[row.heap.name] += row.heap.bytes;
  return bytes;
}

}  // namespace

CensusBaseline baseline_of(const TopCensus& census) {
  return {bytes_by_name(census.types), bytes_by_name(census.owners)};
}

TopCensus make_census(const snapshot::Look& look, std::string verdict,
                      const CensusBaseline* baseline) {
  TopCensus census;
  const auto types = take_heap_census(look, HeapGroup::kType, report::HeapSort::kBytes);
  const auto owners = take_heap_census(look, HeapGroup::kOwner, report::HeapSort::kBytes);
  census.objects = types.objects;
  census.bytes = types.bytes;
  census.types = rows_of(types, baseline == nullptr ? nullptr : &baseline->types);
  census.owners = rows_of(owners, baseline == nullptr ? nullptr : &baseline->owners);
  census.facts = facts_of(look, census);
  census.caveats = report::heap_caveats(look.snapshot->header);
  census.verdict = std::move(verdict);
  return census;
}

CensusTaker::~CensusTaker() {
  cancelled_ = true;
  if (thread_.joinable()) thread_.join();
}

void CensusTaker::start() {
  if (busy()) return;
  done_ = false;
  phase_ = "begins";
  share_ = 0;
  thread_ = std::thread([this] {
    try {
      result_.emplace(take());
    } catch (const std::exception& error) {  // no memory, no thread: the screen goes on
      result_.emplace(make_error(Errc::kInternal, std::string("heap census: ") + error.what()));
    }
    done_ = true;
  });
}

Result<TopCensus> CensusTaker::take() {
  heap::LookOptions options;
  options.image.max_pause = sampling_.max_pause;
  options.assume_minor = sampling_.assume_minor;
  options.cancelled = [this] { return cancelled_.load(); };
  options.progress = [this](const char* phase, double share) {
    phase_ = phase;
    share_ = share;
  };
  options.take = [this](const attach::ImageOptions& image) { return session_.take_image(image); };
  MEMSPY_TRY(look, env_.look_at_heap(session_.pid(), options));
  look.read_texts = nullptr;  // the copy of the memory may go
  return make_census({&look.snapshot, &look.dominators, &look.owners},
                     heap::verdict_of(look.snapshot, look.owners),
                     baseline_ ? &*baseline_ : nullptr);
}

std::string CensusTaker::progress() const {
  const double share = share_;
  return fmt::format("heap census: {}{}", phase_.load(),
                     share > 0 ? fmt::format(" {:.0f} %", 100 * share) : "");
}

std::optional<Result<TopCensus>> CensusTaker::poll() {
  if (!busy() || !done_) return std::nullopt;
  thread_.join();
  auto result = std::exchange(result_, std::nullopt);
  if (result->has_value()) {
    newest_ = baseline_of(**result);
    if (!baseline_) baseline_ = newest_;
  }
  return result;
}

void CensusTaker::reset_baseline() {
  if (newest_ && !busy()) baseline_ = newest_;
}

}  // namespace memspy::cli
