// memspy why: why an object, or all instances of a type, are alive.
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>

#include <charconv>

#include "cli/commands.h"
#include "cli/heap_options.h"
#include "cli/heap_source.h"
#include "cli/hints.h"
#include "cli/report_options.h"
#include "heap/phase_times.h"
#include "report/heap_census.h"
#include "report/heap_text.h"
#include "report/why.h"
#include "sinks/output_file.h"

namespace memspy::cli {
namespace {

constexpr std::string_view kWhyFormats = "text|json|dot|svg";

struct WhyOptions {
  HeapSourceOptions source;
  std::string type;
  std::optional<RemoteAddr> address;
  std::size_t largest = 0;
  std::size_t paths = 3;
  std::string format;
  std::string output = "-";
  bool force = false;
};

Result<Unit> check(const WhyOptions& options) {
  const int asked =
      (options.type.empty() ? 0 : 1) + (options.address ? 1 : 0) + (options.largest > 0 ? 1 : 0);
  if (asked == 1) return Unit{};
  return usage_error(asked == 0 ? "why is what alive?" : "more than one thing was asked for",
                     "--type TYPE, --addr ADDRESS and --largest N say what; one of them",
                     "memspy heap lists types, memspy heap --largest 10 addresses");
}

std::string format_of(const WhyOptions& options, bool json) {
  if (json) return "json";
  if (!options.format.empty()) return options.format;
  for (const std::string suffix : {"json", "dot", "svg"})
    if (options.output.ends_with("." + suffix)) return suffix;
  return "text";
}

// `largest`: the objects that --largest asks for, which is a walk over all.
Result<report::Why> explain(OpenedHeap& heap, const WhyOptions& options,
                            std::vector<NodeIndex>& largest) {
  const snapshot::Look look = heap.look();
  const auto read_texts = [&heap](std::span<const NodeIndex> keys) {
    if (heap.read_texts) heap.read_texts(heap.snapshot, keys);
  };
  const auto& graph = heap.snapshot.graph;
  if (options.address) {
    const NodeIndex node = graph.find(*options.address);
    if (node == kNoNode) {
      Error error = make_error(Errc::kInternal,
                               "there is no object at " + report::address_text(*options.address));
      error.hint = "an address is what id() gives, as long as the object lives";
      return error;
    }
    return report::explain_object(look, node, options.paths, read_texts);
  }
  if (options.largest > 0) {
    largest = report::largest_objects(look, options.largest);
    if (largest.empty()) return make_error(Errc::kInternal, "the heap is empty");
    return report::explain_objects(look, largest, "largest objects", options.paths, read_texts);
  }
  MEMSPY_TRY(types, report::find_types(graph, options.type));
  const auto nodes = report::instances_of(graph, types);
  const std::string& name = graph.types()[types.front().value].name;
  if (nodes.empty()) {
    Error error = make_error(Errc::kInternal, "there is no instance of " + name + " in this heap");
    error.hint = "memspy heap lists the types that have some";
    return error;
  }
  return report::explain_objects(look, nodes, name, options.paths, read_texts);
}

std::string render(const OpenedHeap& heap, const report::Why& why,
                   std::span<const NodeIndex> largest, const WhyOptions& options,
                   const std::string& format, const Env& env) {
  report::WhyStyle style;
  style.style = report_style(options.output == "-", env);
  if (format == "json") return report::why_json(heap.look(), why);
  if (format == "dot") return report::why_dot(why, style);
  if (format == "svg") return report::why_svg(why, style);
  std::string text = report::why_text(heap.look(), why, style);
  if (options.largest > 1)
    text += "\nEach of them:\n" + report::object_table(heap.look(), largest, style.style);
  return text;
}

Result<ExitCode> run_why(const WhyOptions& options, bool json, Env& env) {
  MEMSPY_CHECK(check(options));
  MEMSPY_TRY(file, sinks::OutputFile::open(options.output, options.force, env.out));
  heap::PhaseTimes times;
  times.begin("loading");
  MEMSPY_TRY(heap, open_heap(options.source, env, HeapIndex::kPaths));
  times.begin("finding paths");
  std::vector<NodeIndex> largest;
  MEMSPY_TRY(why, explain(heap, options, largest));
  times.begin("writing");
  file.stream() << render(heap, why, largest, options, format_of(options, json), env);
  spdlog::debug("steps: {}", times.text());
  MEMSPY_TRY(path, file.commit(output_facts(heap)));
  if (path != "-") say(env, "wrote " + path);
  return ExitCode::kOk;
}

void add_address(CLI::App& app, std::optional<RemoteAddr>& address) {
  app.add_option_function<std::string>(
         "--addr",
         [&address](const std::string& text) {
           const bool hex = text.starts_with("0x") || text.starts_with("0X");
           const char* end = text.data() + text.size();
           std::uint64_t value = 0;
           const auto parsed =
               std::from_chars(text.data() + (hex ? 2 : 0), end, value, hex ? 16 : 10);
           if (parsed.ec != std::errc{} || parsed.ptr != end || value == 0)
             throw CLI::ValidationError(
                 "--addr", "\"" + text + "\" is not an address: 0x7f12…, or decimal as id() says");
           address = RemoteAddr{value};
         },
         "The object at this address (0x…, or decimal as id() says)")
      ->type_name("ADDRESS")
      ->take_last();
}

}  // namespace

Verb add_why(CLI::App& root) {
  Verb verb = add_verb(root, "why", "Why an object or a type is alive: named paths to the roots");
  const auto options = std::make_shared<WhyOptions>();
  CLI::App& app = *verb.app;
  add_heap_source(app, options->source);
  app.add_option("--type", options->type, "All instances of a type: app.Session, or Session")
      ->type_name("TYPE")
      ->take_last();
  add_address(app, options->address);
  add_largest(app, options->largest, "The objects that retain most");
  app.add_option("--paths", options->paths, "Paths of one object, each by another referrer (3)")
      ->type_name("N")
      ->check(CLI::Range(1, 1000))
      ->take_last();
  app.add_option_function<std::string>(
         "-f,--format",
         [options](const std::string& text) {
           if (fmt::format("|{}|", kWhyFormats).find("|" + text + "|") == std::string::npos)
             throw CLI::ValidationError("--format",
                                        "\"" + text + "\" is not text, json, dot or svg");
           options->format = text;
         },
         "What; else by the suffix of -o, else text")
      ->type_name(std::string(kWhyFormats))
      ->take_last();
  app.add_option("-o,--output", options->output, "Where to; - is stdout")
      ->type_name("FILE")
      ->take_last();
  app.add_flag("--force", options->force, "Replace a file that exists");
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_why(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
