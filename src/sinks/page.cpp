#include "sinks/page.h"

#include <sstream>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/duration.h"
#include "recording/summary_json.h"
#include "recording/text.h"
#include "sinks/gzip.h"
#include "sinks/page_asset.h"
#include "sinks/page_columns.h"
#include "sinks/page_run.h"
#include "sinks/writers.h"

namespace memspy::sinks {
namespace {

std::string sources_json(const std::vector<PageSource>& sources) {
  auto list = nlohmann::ordered_json::array();
  for (const PageSource& source : sources) {
    auto lines = nlohmann::ordered_json::array();
    for (const auto& line : source.lines)
      lines.push_back({{"number", line.number}, {"text", line.text}});
    list.push_back({{"file", recording::escape_text(source.file, "\\")},
                    {"newer", source.newer},
                    {"lines", std::move(lines)}});
  }
  return recording::json_line(list);
}

// Where the data stands in the page that web/ makes.
constexpr std::string_view kPlace = "<!--memspy: the data-->";

std::string alerts_json(const PageParts& parts) {
  auto list = nlohmann::ordered_json::array();
  for (const PageAlert& alert : parts.alerts)
    list.push_back({{"time_seconds", to_seconds(alert.time - parts.run->header.wall_start)},
                    {"name", recording::escape_text(alert.name)},
                    {"state", recording::escape_text(alert.state)},
                    {"when", recording::escape_text(alert.when)}});
  return recording::json_line(list);
}

}  // namespace

std::string page_json(const PageParts& parts) {
  PageObject object;
  object.add_json("schema", "\"memspy.page/1\"");
  if (parts.run != nullptr) object.add_json("run", page_run(*parts.run, parts.options));
  if (parts.base != nullptr) {
    object.add_json("base", page_run(*parts.base, parts.options));
    object.add_json("comparison", recording::json_line(nlohmann::ordered_json(parts.comparison)));
  }
  if (parts.heap != nullptr) object.add_json("heap", page_heap(*parts.heap, parts.heap_document));
  if (!parts.sources.empty()) object.add_json("sources", sources_json(parts.sources));
  if (parts.run != nullptr && !parts.alerts.empty()) object.add_json("alerts", alerts_json(parts));
  if (!parts.warning.empty())
    object.add_json("warning", recording::json_line(nlohmann::ordered_json(parts.warning)));
  return std::move(object).take() + "\n";
}

Result<Unit> write_page(const PageParts& parts, std::ostream& out) {
  const std::string_view page = page_asset();
  const std::size_t at = page.find(kPlace);
  if (at == std::string_view::npos)
    return make_error(Errc::kInternal, "the page has no place for its data");
  std::ostringstream packed;
  MEMSPY_CHECK(write_gzip(page_json(parts), GzipLevel::kSmall, packed));
  out << page.substr(0, at) << "<script type=\"application/gzip;base64\" id=\"data\">";
  // Nothing of the target stands in the page but within this alphabet: no name can end the element.
  out << base64(packed.view());
  out << "</script>" << page.substr(at + kPlace.size());
  out.flush();
  return check_stream(out);
}

std::string dashboard_page() {
  // The one thing that it may do and a page with data may not.
  static constexpr std::string_view kNothing = "default-src 'none'; ";
  static constexpr std::string_view kAsk = "connect-src 'self'; ";
  std::string page(page_asset());
  const std::size_t policy = page.find(kNothing);
  if (policy != std::string::npos) page.insert(policy + kNothing.size(), kAsk);
  const std::size_t at = page.find(kPlace);
  if (at != std::string::npos)
    page.replace(at, kPlace.size(), "<script type=\"text/plain\" id=\"data\">daemon</script>");
  return page;
}

std::string page_policy(std::string_view page) {
  static constexpr std::string_view kHead = "Content-Security-Policy\" content=\"";
  const std::size_t at = page.find(kHead);
  if (at == std::string_view::npos) return "default-src 'none'";
  const std::size_t begin = at + kHead.size();
  return std::string(page.substr(begin, page.find('"', begin) - begin));
}

Result<Unit> write_html(const recording::Profile& profile, const FormatOptions& options,
                        std::ostream& out) {
  PageParts parts;
  parts.run = &profile;
  parts.options = options;
  return write_page(parts, out);
}

}  // namespace memspy::sinks
