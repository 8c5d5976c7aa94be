#include "cli/dump_view.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "base/duration.h"
#include "base/path.h"

namespace memspy::cli {
namespace {

using sampler::ThreadLook;

bool shown(const ThreadLook& thread, const DumpStyle& style) {
  return !style.gil_only || thread.gil;
}

bool idle(const DumpModel& model, Tid tid) {
  const auto state = model.states.find(tid);
  return state != model.states.end() && state->second != 'R';
}

std::string file_name(const std::string& path, bool full) {
  return printable(full ? path : base_name(path));
}

std::string frame_text(const Frame& frame, bool full_filenames) {
  if (frame.file.empty()) return printable(frame.function);
  const std::string file = file_name(frame.file, full_filenames);
  // Native functions without debug information have a library and no line.
  if (frame.line == 0 && frame.kind == FrameKind::kNative)
    return fmt::format("{} ({})", printable(frame.function), file);
  return fmt::format("{} ({}:{})", printable(frame.function), file, frame.line);
}

std::string thread_marks(const DumpModel& model, const ThreadLook& thread) {
  std::string marks = idle(model, thread.tid) ? "idle" : "active";
  if (thread.gil) marks += "+gil";
  if (thread.collecting) marks += "+gc";
  if (!thread.python) marks += ", native";
  if (thread.interpreter_id != 0) marks += fmt::format(", interpreter {}", thread.interpreter_id);
  return marks;
}

void append_thread(std::string& text, const DumpModel& model, const ThreadLook& thread,
                   const DumpStyle& style) {
  text += fmt::format("Thread {} ({})", thread.tid.value, thread_marks(model, thread));
  if (!thread.name.empty()) text += fmt::format(": \"{}\"", printable(thread.name));
  text += '\n';
  if (!thread.error.empty()) text += "    [" + printable(thread.error) + "]\n";
  for (std::size_t i = 0; i < thread.frames.size(); ++i) {
    text += "    " + frame_text(thread.frames[i], style.full_filenames) + '\n';
    if (i >= thread.locals.size() || thread.locals[i].empty()) continue;
    for (const auto& local : thread.locals[i])
      text += fmt::format("        {} = {}\n", printable(local.name), printable(local.repr));
  }
  if (!thread.native_note.empty()) text += "    [" + thread.native_note + "]\n";
}

Json frame_json(const ThreadLook& thread, std::size_t i) {
  const Frame& frame = thread.frames[i];
  Json json = {{"function", frame.function}, {"file", frame.file}, {"line", frame.line}};
  if (frame.kind == FrameKind::kNative) {
    json["native"] = {{"module", frame.code.module},
                      {"build_id", frame.code.build_id},
                      {"address", frame.code.address}};
  }
  if (i >= thread.locals.size()) return json;
  Json locals = Json::array();
  for (const auto& local : thread.locals[i])
    locals.push_back({{"name", local.name}, {"repr", local.repr}});
  json["locals"] = std::move(locals);
  return json;
}

Json thread_json(const DumpModel& model, const ThreadLook& thread) {
  Json frames = Json::array();
  for (std::size_t i = 0; i < thread.frames.size(); ++i) frames.push_back(frame_json(thread, i));
  Json json = {{"tid", thread.tid.value}, {"name", thread.name}, {"gil", thread.gil}};
  json["frames"] = std::move(frames);
  json["idle"] = idle(model, thread.tid);
  json["python"] = thread.python;
  json["collecting"] = thread.collecting;
  json["interpreter_id"] = thread.interpreter_id;
  if (!thread.native_note.empty()) json["native_note"] = thread.native_note;
  json["error"] = thread.error.empty() ? Json(nullptr) : Json(thread.error);
  return json;
}

}  // namespace

std::string dump_text(const DumpModel& model, const DumpStyle& style) {
  const sampler::ProcessLook& look = model.look;
  std::string text = fmt::format("Process {}: {}\n", look.pid.value,
                                 one_line_command(look.command_line, look.name));
  text += fmt::format("Python v{}{}{}\n", look.version.text(),
                      look.version.free_threaded ? " free-threaded" : "",
                      model.executable.empty() ? "" : " (" + printable(model.executable) + ")");
  text += "Memory: " + memory_line(model.memory) + '\n';
  if (look.job_stopped) text += "The process is stopped (T); it was left so.\n";
  for (const ThreadLook& thread : look.threads) {
    if (!shown(thread, style)) continue;
    text += '\n';
    append_thread(text, model, thread, style);
  }
  const auto holds = [](const ThreadLook& thread) { return thread.gil; };
  if (style.gil_only && std::none_of(look.threads.begin(), look.threads.end(), holds))
    text += "\nNo thread held the GIL in that moment.\n";
  return text;
}

Json dump_json(const DumpModel& model, const DumpStyle& style) {
  const sampler::ProcessLook& look = model.look;
  Json json = {{"schema", "memspy.dump/1"}, {"pid", look.pid.value}};
  json["python"] = {{"version", look.version.text()},
                    {"free_threaded", look.version.free_threaded}};
  json["threads"] = Json::array();
  for (const ThreadLook& thread : look.threads)
    if (shown(thread, style)) json["threads"].push_back(thread_json(model, thread));
  json["name"] = look.name;
  json["command_line"] = look.command_line;
  json["executable"] = model.executable;
  json["layout"] = look.layout_source;
  json["memory"] = memory_json(model.memory);
  json["paused_us"] = to_seconds(look.paused) * 1e6;
  json["job_stopped"] = look.job_stopped;
  return json;
}

}  // namespace memspy::cli
