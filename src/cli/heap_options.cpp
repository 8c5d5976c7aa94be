#include "cli/heap_options.h"

#include <CLI/CLI.hpp>

#include "cli/options.h"
#include "cli/report_options.h"

namespace memspy::cli {
namespace {

constexpr std::size_t kMost = 10000;  // objects in a list for people

}  // namespace

void add_largest(CLI::App& app, std::size_t& largest, const std::string& description) {
  add_count(app, "--largest", largest, description, 1, kMost);
}

void add_heap_report(CLI::App& app, report::HeapReportOptions& options) {
  app.add_option_function<std::string>(
         "--by",
         [&options](const std::string& text) {
           const auto group = report::find_heap_group(text);
           if (!group)
             throw CLI::ValidationError(
                 "--by", "\"" + text + "\" is not type, module, owner, size or generation");
           options.by = *group;
         },
         "What a row is (type)")
      ->type_name("type|module|owner|size|generation")
      ->take_last();
  app.add_option_function<std::string>(
         "--sort",
         [&options](const std::string& text) {
           const auto sort = report::find_heap_sort(text);
           if (!sort)
             throw CLI::ValidationError("--sort",
                                        "\"" + text + "\" is not bytes, count, retained or name");
           options.sort = *sort;
         },
         "Order of the rows (bytes)")
      ->type_name("bytes|count|retained|name")
      ->take_last();
  add_limit(app, options.limit);
  add_largest(app, options.largest, "The objects that retain most, one by one");
}

}  // namespace memspy::cli
