// memspy dump: one look at a process, every thread's stack.
#include <spdlog/fmt/fmt.h>
#include <CLI/CLI.hpp>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/dump_view.h"
#include "cli/native_names.h"
#include "cli/process_facts.h"
#include "cli/process_list.h"
#include "cli/search_log.h"

namespace memspy::cli {
namespace {

struct DumpOptions {
  TargetOptions target;
  sampler::LookOptions look;
  DumpStyle style;
  bool subprocesses = false;
};

// The target goes on meanwhile.
void name_native_frames(sampler::ProcessLook& look, Pid pid, Env& env) {
  const symbolize::SymbolizeOptions files = files_of(env.proc, pid);
  symbolize::Symbolizer symbolizer(files);
  if (look.modules) offer_modules(*look.modules, symbolizer);
  for (sampler::ThreadLook& thread : look.threads) {
    std::vector<Frame> frames;
    std::vector<std::vector<cpython::LocalVariable>> locals;
    for (std::size_t i = 0; i < thread.frames.size(); ++i) {
      for (Frame& frame : name_frame(thread.frames[i], symbolizer)) {
        frames.push_back(std::move(frame));
        locals.emplace_back();
      }
      if (i < thread.locals.size()) locals.back() = std::move(thread.locals[i]);
    }
    thread.frames = std::move(frames);
    if (!thread.locals.empty()) thread.locals = std::move(locals);
  }
  tell_missing(symbolizer, files.sysroot, env, Addresses::kGone);
}

Result<DumpModel> look(Pid pid, const DumpOptions& options, Env& env) {
  DumpModel model;
  model.states = read_thread_states(env.proc, pid);  // before the look: its pause would show as T
  MEMSPY_TRY(look, env.look_at(pid, options.look));
  log_search(look.attempts);
  if (options.look.native) name_native_frames(look, pid, env);
  model.look = std::move(look);
  model.memory = read_memory_facts(env.proc, pid);
  if (auto executable = env.proc.executable(pid)) model.executable = std::move(*executable);
  return model;
}

void append_descendants(Pid pid, const procfs::ProcDir& proc, std::vector<Pid>& out) {
  const auto children = proc.children(pid);
  if (!children) return;
  for (const Pid child : *children) {
    out.push_back(child);
    append_descendants(child, proc, out);
  }
}

// Children that are no Python processes are passed over; -v says why.
std::vector<DumpModel> look_at_descendants(Pid pid, const DumpOptions& options, Env& env) {
  std::vector<Pid> pids;
  append_descendants(pid, env.proc, pids);
  std::vector<DumpModel> models;
  for (const Pid child : pids) {
    auto model = look(child, options, env);
    if (model) {
      models.push_back(std::move(*model));
    } else {
      spdlog::debug("child {}: {}", child.value, describe(model.error()));
    }
  }
  return models;
}

std::string command_of(Pid pid, const Env& env) {
  return one_line_command(env.proc.command_line(pid).value_or({}),
                          env.proc.comm(pid, Tid{pid.value}).value_or("?"));
}

std::string bystander_text(Pid pid, const Env& env) {
  return fmt::format("Process {}: {}\nnot Python\nMemory: {}\n", pid.value, command_of(pid, env),
                     memory_line(read_memory_facts(env.proc, pid)));
}

Json bystander_json(Pid pid, const Env& env) {
  Json json = {{"schema", "memspy.dump/1"}, {"pid", pid.value}};
  json["python"] = nullptr;
  json["threads"] = Json::array();
  json["name"] = env.proc.comm(pid, Tid{pid.value}).value_or("");
  json["command_line"] = env.proc.command_line(pid).value_or({});
  json["memory"] = memory_json(read_memory_facts(env.proc, pid));
  return json;
}

Result<ExitCode> run_dump(const DumpOptions& options, bool json, Env& env) {
  MEMSPY_TRY(pid, resolve_target(options.target, env));
  auto model = look(pid, options, env);
  std::vector<DumpModel> children;
  if (options.subprocesses && (model || model.error().code == Errc::kUnsupported))
    children = look_at_descendants(pid, options, env);
  // A shell or a supervisor that is no Python has nothing to show but its children.
  if (!model && children.empty()) return std::move(model).error();
  if (json) {
    Json document = model ? dump_json(*model, options.style) : bystander_json(pid, env);
    if (options.subprocesses) document["subprocesses"] = Json::array();
    for (const DumpModel& child : children)
      document["subprocesses"].push_back(dump_json(child, options.style));
    env.out << json_text(document) << '\n';
    return ExitCode::kOk;
  }
  env.out << (model ? dump_text(*model, options.style) : bystander_text(pid, env));
  for (const DumpModel& child : children) env.out << '\n' << dump_text(child, options.style);
  return ExitCode::kOk;
}

}  // namespace

Verb add_dump(CLI::App& root) {
  Verb verb = add_verb(root, "dump", "One look: every thread's stack, the GIL holder, the memory");
  const auto options = std::make_shared<DumpOptions>();
  CLI::App& app = *verb.app;
  add_target(app, options->target);
  app.add_flag("-l,--locals", options->look.locals, "Local variables of every frame, values cut");
  app.add_flag("-n,--native", options->look.native, "Native frames among the Python ones");
  app.add_flag("-g,--gil", options->style.gil_only, "Only the thread that holds the GIL");
  app.add_flag("-s,--subprocesses", options->subprocesses, "Python children too");
  app.add_flag("--full-filenames", options->style.full_filenames, "Whole paths");
  add_assume_layout(app, options->look.assume_minor);
  add_json(app, *verb.common);
  verb.run = [options, common = verb.common](Env& env) {
    return run_dump(*options, common->json, env);
  };
  return verb;
}

}  // namespace memspy::cli
