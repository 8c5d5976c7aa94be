#include "cli/heap_source.h"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <fstream>

#include "base/log.h"
#include "cli/build_info.h"
#include "cli/hints.h"
#include "cli/phase_progress.h"
#include "cli/process_list.h"
#include "cli/search_log.h"
#include "heap/heap_look.h"
#include "snapshot/snapshot_file.h"

namespace memspy::cli {
namespace {

constexpr std::string_view kSuffix = ".memsnap";
constexpr std::string_view kRecordingMagic = "SQLite format 3";

heap::LookOptions look_options(const ImageChoices& choices, PhaseProgress& progress) {
  heap::LookOptions options;
  options.image.max_pause = choices.max_pause;
  options.image.spool = choices.spool;
  options.assume_minor = choices.assume_minor;
  options.values = choices.values;
  options.marks = choices.marks;
  options.progress = [&progress](const char* phase, double share) { progress.show(phase, share); };
  return options;
}

void tell_details(const heap::HeapLook& look) {
  log_search(look.attempts);
  spdlog::debug("layout: {}", look.layout_source);
  for (const std::string& remark : look.remarks) spdlog::debug("{}", remark);
  for (const auto& [type, found] : look.stats.coverage)
    spdlog::debug("references of {} {}: {}", found.first, type, found.second);
  for (const auto& [name, value] : look.snapshot.header.counters)
    spdlog::debug("{}: {:.0f}", name, value);
}

OpenedHeap opened(heap::HeapLook look) {
  tell_details(look);
  look.snapshot.header.memspy_version = version();
  return {std::move(look.snapshot), std::move(look.dominators), std::move(look.owners),
          std::move(look.read_texts)};
}

void set_place(HeapSourceOptions& options, const std::string& text) {
  const bool number = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isdigit(c) != 0;
  });
  if (number) {
    const auto pid = parse_pid(text);
    if (!pid) throw CLI::ValidationError("TARGET", pid.error().message);
    options.target.pid = *pid;
    return;
  }
  const bool like_a_file = text.find_first_of("./") != std::string::npos;
  if (!like_a_file && ::access(text.c_str(), F_OK) != 0)
    throw CLI::ValidationError("TARGET", "\"" + text + "\" is neither a PID nor a file");
  options.file = text;
}

}  // namespace

std::string OpenedHeap::verdict() const { return heap::verdict_of(snapshot, owners); }

sinks::OutputFacts output_facts(const OpenedHeap& heap) {
  const snapshot::Header& header = heap.snapshot.header;
  return {header.process.pid, header.wall_time, host_name(), header.process_name};
}

void add_copy_choices(CLI::App& app, ImageChoices& choices) {
  add_duration(app, "--max-pause", choices.max_pause, /*bare_seconds=*/false,
               "Give up rather than stop the process for longer");
  app.add_option("--spool", choices.spool, "Folder for the copy of the memory, else memory")
      ->type_name("DIR")
      ->take_last();
  add_assume_layout(app, choices.assume_minor);
}

void add_image_choices(CLI::App& app, ImageChoices& choices) {
  add_copy_choices(app, choices);
  app.add_flag("--values", choices.values, "Contents of strings and numbers too");
}

void add_heap_source(CLI::App& app, HeapSourceOptions& options) {
  app.add_option_function<std::string>(
         "-p,--pid",
         [&options](const std::string& text) {
           const auto pid = parse_pid(text);
           if (!pid) throw CLI::ValidationError("--pid", pid.error().message);
           options.target.pid = *pid;
         },
         "The process; without one, choose from a list")
      ->type_name("PID")
      ->take_last();
  app.add_option_function<std::string>(
         "TARGET", [&options](const std::string& text) { set_place(options, text); },
         "A PID, or a snapshot (.memsnap)")
      ->type_name("PID|FILE");
  add_image_choices(app, options.image);
}

Result<OpenedHeap> look_at_heap(Pid pid, const ImageChoices& choices, Env& env) {
  PhaseProgress progress(env);
  auto look = env.look_at_heap(pid, look_options(choices, progress));
  progress.clear();
  if (!look.has_value()) return std::move(look).error();
  return opened(std::move(*look));
}

Result<OpenedHeap> look_at_core(const std::string& core, const std::string& executable,
                                const ImageChoices& choices, Env& env) {
  PhaseProgress progress(env);
  auto look = env.look_at_core(core, executable, look_options(choices, progress));
  progress.clear();
  if (!look.has_value()) return std::move(look).error();
  return opened(std::move(*look));
}

Result<OpenedHeap> open_snapshot_file(const std::string& path, Env& env, HeapIndex index) {
  MEMSPY_TRY(file, snapshot::open_snapshot(path));
  for (const std::string& damage : file.damage) say(env, path + ": " + damage);
  OpenedHeap heap;
  heap.snapshot = std::move(file.snapshot);
  heap.dominators = std::move(file.dominators);
  if (index == HeapIndex::kPaths) {
    heap.snapshot.path_cache->tree(heap.snapshot.graph);
  } else {
    heap.owners = snapshot::find_owners(heap.snapshot.graph, heap.dominators);
  }
  return heap;
}

Result<OpenedHeap> open_heap(const HeapSourceOptions& options, Env& env, HeapIndex index) {
  if (!options.file.empty()) {
    if (options.target.pid) return usage_error("a process and a file: one of them, please");
    return open_snapshot_file(options.file, env, index);
  }
  MEMSPY_TRY(pid, resolve_target(options.target, env));
  return look_at_heap(pid, options.image, env);
}

bool is_snapshot_file(const std::string& path) {
  std::array<char, 16> head{};
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), head.size());
  const std::string_view begin(head.data(), static_cast<std::size_t>(file.gcount()));
  if (begin.starts_with(kRecordingMagic)) return false;
  return path.ends_with(kSuffix) || begin.starts_with("memsnap") || begin.starts_with("MEMSNAP");
}

}  // namespace memspy::cli
