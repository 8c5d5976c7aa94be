#include "sinks/page_run.h"

#include <spdlog/fmt/fmt.h>

#include <nlohmann/json.hpp>

#include "base/duration.h"
#include "recording/shaped_timeline.h"
#include "recording/summary_json.h"
#include "recording/text.h"
#include "sinks/page_columns.h"
#include "sinks/run_json.h"

namespace memspy::sinks {
namespace {

using nlohmann::ordered_json;
using recording::escape_text;
using recording::Profile;
using recording::ShapedTimeline;

std::string dump(const ordered_json& json) {
  std::string line = recording::json_line(json);
  line.pop_back();  // its end of line
  return line;
}

// Without command lines: they may hold passwords, and a page is passed around.
ordered_json processes(const Profile& profile) {
  auto list = ordered_json::array();
  for (const auto& process : profile.processes)
    list.push_back({{"process", process.index.value},
                    {"pid", process.identity.pid.value},
                    {"name", escape_text(process.name)},
                    {"python_version", escape_text(process.python_version)},
                    {"executable", escape_text(process.executable)}});
  return list;
}

ordered_json words_json(const RunWords& words) {
  return {{"title", words.title},
          {"verdict", words.verdict},
          {"evidence", words.evidence},
          {"loss", words.loss}};
}

std::string head(const Profile& profile, const FormatOptions& options) {
  ordered_json json;
  recording::add_run_head(profile, json);
  json["wall_start_milliseconds"] = profile.header.wall_start.count() / 1'000'000;
  json["interval_seconds"] = to_seconds(profile.header.interval);
  json["begin_seconds"] = to_seconds(profile.begin_time);
  json["end_seconds"] = to_seconds(profile.last_time);
  json["gross"] = options.amount == recording::Amount::kGross;
  json["processes"] = processes(profile);
  json["gaps"] = gaps_json(profile);
  json["words"] = words_json(options.words ? options.words(profile, options.shape) : RunWords{});
  return dump(json);
}

// Texts by number, in the order in which they come.
class Numbers {
 public:
  std::int64_t of(const std::string& text) {
    const auto [it, fresh] = index_.try_emplace(text, static_cast<std::int64_t>(index_.size()));
    fresh_ = fresh;
    return it->second;
  }
  bool fresh() const { return fresh_; }  // the last one

 private:
  std::unordered_map<std::string, std::int64_t> index_;
  bool fresh_ = false;
};

// Reversible, as in folded stacks: the page makes those, too.
std::string name(const std::string& text) { return escape_text(text, "\\"); }

// Texts are put together again on the other side: names of files are many times as long as what
// tells frames apart.
std::string frames(const ShapedTimeline& shaped) {
  auto functions = ordered_json::array(), files = ordered_json::array();
  auto modules = ordered_json::array();
  Numbers file_numbers, module_numbers;
  std::vector<std::int64_t> file_of, module_of, lines, kinds;
  for (const auto& frame : shaped.frames) {
    functions.push_back(name(frame.function));
    file_of.push_back(frame.file.empty() ? -1 : file_numbers.of(frame.file));
    if (!frame.file.empty() && file_numbers.fresh())
      files.push_back({{"path", name(frame.file)}, {"name", name(frame.file_name)}});
    const std::string& module = frame.code.module;
    module_of.push_back(module.empty() ? -1 : module_numbers.of(module));
    if (!module.empty() && module_numbers.fresh()) modules.push_back(name(module));
    lines.push_back(frame.line);
    kinds.push_back(static_cast<std::int64_t>(frame.kind));
  }
  PageObject object;
  object.add_json("function", dump(functions));
  object.add_numbers("file", file_of);
  object.add_numbers("line", lines);
  object.add_numbers("kind", kinds);
  object.add_numbers("module", module_of);
  object.add_json("files", dump(files));
  object.add_json("modules", dump(modules));
  return std::move(object).take();
}

std::string nodes(const ShapedTimeline& shaped) {
  std::vector<std::uint32_t> above, frame;
  for (std::uint32_t i = 1; i < shaped.nodes.size(); ++i) {
    above.push_back(i - shaped.nodes[i].parent);
    frame.push_back(shaped.nodes[i].frame);
  }
  PageObject object;
  object.add_numbers("above", above);
  object.add_numbers("frame", frame);
  return std::move(object).take();
}

// Growth, or time spent allocating: their columns differ in what a stack's amount is.
std::string cells(const ShapedTimeline& shaped) {
  const bool time = shaped.measure == recording::Measure::kMicroseconds;
  std::vector<std::int64_t> bucket, node;
  std::vector<std::uint64_t> amount, returned, samples;
  for (const auto& cell : shaped.cells) {
    bucket.push_back(static_cast<std::int64_t>(cell.bucket));
    node.push_back(cell.node);
    amount.push_back(cell.amount);
    returned.push_back(cell.returned);
    samples.push_back(cell.samples);
  }
  PageObject object;
  object.add_json("bucket_seconds", fmt::format("{}", to_seconds(shaped.width)));
  object.add_steps("bucket", bucket);
  object.add_steps("node", node);
  object.add_numbers(time ? "nanoseconds" : "touched_bytes", amount);
  if (!time) object.add_numbers("returned_bytes", returned);
  object.add_numbers("samples", samples);
  return std::move(object).take();
}

std::string user_cpu(const ShapedTimeline& shaped) {
  std::vector<std::int64_t> bucket;
  std::vector<std::uint64_t> nanoseconds;
  for (const auto& cpu : shaped.cpu) {
    bucket.push_back(static_cast<std::int64_t>(cpu.bucket));
    nanoseconds.push_back(cpu.nanoseconds);
  }
  PageObject object;
  object.add_steps("bucket", bucket);
  object.add_numbers("nanoseconds", nanoseconds);
  return std::move(object).take();
}

std::string rests(const ShapedTimeline& shaped) {
  std::vector<std::int64_t> bucket, bytes;
  std::vector<std::uint32_t> node, process;
  for (const auto& rest : shaped.rests) {
    bucket.push_back(static_cast<std::int64_t>(rest.bucket));
    process.push_back(rest.process);
    node.push_back(rest.node);
    bytes.push_back(rest.bytes);
  }
  PageObject object;
  object.add_steps("bucket", bucket);
  object.add_numbers("process", process);
  object.add_numbers("node", node);
  object.add_numbers("bytes", bytes);
  return std::move(object).take();
}

}  // namespace

std::string page_run(const Profile& profile, const FormatOptions& options) {
  const auto shaped = recording::shape_timeline(profile, options.shape);
  PageObject object;
  object.add_json("head", head(profile, options));
  object.add_json("frames", frames(shaped));
  object.add_json("nodes", nodes(shaped));
  if (shaped.measure == recording::Measure::kMicroseconds) {
    object.add_json("allocation", cells(shaped));
    object.add_json("user_cpu", user_cpu(shaped));
  } else {
    object.add_json("growth", cells(shaped));
    object.add_json("unattributed", rests(shaped));
  }
  object.add_json("series", page_series(profile));
  return std::move(object).take();
}

}  // namespace memspy::sinks
