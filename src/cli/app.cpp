#include "cli/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/log.h"
#include "cli/arguments.h"
#include "cli/build_info.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/fd_output.h"
#include "cli/hints.h"

namespace memspy::cli {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 done, 1 error, 2 usage, 3 no such process, 4 permission, 5 not a CPython\n"
    "memspy knows, 6 target gone before the first sample, 7 output, 8 --fail-on was met,\n"
    "9 already traced, 10 too many samples rejected.\n"
    "memspy VERB --help lists a verb's options; verbs may be shortened.";

const Verb* find(const App& app, const std::string& name) {
  for (const Verb& verb : app.verbs)
    if (verb.app->get_name() == name) return &verb;
  return nullptr;
}

std::vector<std::string> long_options(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// A trial on a parser of its own: options set what they were given as soon as they are parsed.
std::optional<std::string> refusal_of(const std::string& verb, std::vector<std::string> args) {
  const auto app = make_app();
  args.insert(args.begin(), verb);
  std::reverse(args.begin(), args.end());
  try {
    app->root->parse(std::move(args));
  } catch (const CLI::Success&) {  // --help
  } catch (const CLI::RequiredError&) {
    // What is missing may be typed.
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return std::nullopt;
}

struct Prepared {
  const Verb* verb = nullptr;
  Config config;
};

// The verb's whole name, and the values of a configuration file behind it.
Result<Prepared> prepare(const App& app, std::vector<std::string>& args) {
  Prepared prepared;
  const auto at = find_verb(args);
  if (!at) return prepared;
  std::vector<std::string> names;
  for (const Verb& verb : app.verbs) names.push_back(verb.app->get_name());
  MEMSPY_TRY(name, complete_verb(args[*at], names));
  args[*at] = name;
  prepared.verb = find(app, name);
  if (const auto path = find_config(args); path && !prepared.verb->own_config) {
    MEMSPY_TRY(config, read_config(*path, *app.root, *prepared.verb->app, args,
                                   [&](const auto& given) { return refusal_of(name, given); }));
    args.insert(args.begin() + static_cast<std::ptrdiff_t>(*at) + 1, config.args.begin(),
                config.args.end());
    prepared.config = std::move(config);
  }
  return prepared;
}

Error no_such_option(const CLI::App& parser, const std::string& option, const std::string& help) {
  const auto near = nearest(option.substr(0, option.find('=')), long_options(parser));
  return usage_error("there is no option " + option, "", near ? *near + ", or " + help : help);
}

Error explain_extras(const App& app, const Verb* verb) {
  const auto extras = app.root->remaining(/*recurse=*/true);
  const std::string first = extras.empty() ? "" : extras.front();
  const CLI::App& parser = verb != nullptr ? *verb->app : *app.root;
  const std::string help = "memspy " + (verb ? parser.get_name() + " " : "") + "--help";
  if (first.empty() || first[0] != '-')
    return usage_error("unexpected argument: \"" + first + "\"", "", help);
  return no_such_option(parser, first, help);
}

// One that nobody knows leaves its value to an option or a place that cannot make sense of it, and
// that is what the parser tells of.
std::optional<std::string> unknown_option(const App& app, const Verb& verb,
                                          const std::vector<std::string>& args) {
  for (const std::string& arg : args) {
    if (arg == "--") break;
    if (arg.size() < 2 || arg[0] != '-' || std::isdigit(static_cast<unsigned char>(arg[1])) != 0)
      continue;
    const std::string name = arg.substr(0, arg[1] == '-' ? arg.find('=') : 2);
    if (verb.app->get_option_no_throw(name) == nullptr &&
        app.root->get_option_no_throw(name) == nullptr)
      return name;
  }
  return std::nullopt;
}

Error explain_refusal(const App& app, const Verb* verb, const std::vector<std::string>& args,
                      const std::string& what) {
  const std::string help = "memspy " + (verb ? verb->app->get_name() + " " : "") + "--help";
  if (verb != nullptr) {
    if (const auto unknown = unknown_option(app, *verb, args))
      return no_such_option(*verb->app, *unknown, help);
  }
  return usage_error(what, "", help);
}

// nullopt: go on and run the verb.
std::optional<int> parse(App& app, const Verb* verb, const std::vector<std::string>& args,
                         Env& env) {
  try {
    app.root->parse(std::vector<std::string>(args.rbegin(), args.rend()));
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    env.out << app.root->help();
    return 0;
  } catch (const CLI::CallForVersion&) {
    env.out << version_text() << '\n';
    return 0;
  } catch (const CLI::ExtrasError&) {
    print_error(env.err, explain_extras(app, verb));
  } catch (const CLI::ParseError& error) {
    print_error(env.err, explain_refusal(app, verb, args, error.what()));
  }
  return static_cast<int>(ExitCode::kUsage);
}

void apply(const CommonOptions& root, const CommonOptions& verb, Env& env) {
  const bool quiet = root.quiet || verb.quiet;
  env.verbosity = quiet ? -1 : std::min(root.verbose + verb.verbose, 2);
  // NOLINTBEGIN(concurrency-mt-unsafe): before any thread exists
  env.colour = wants_colour(root.no_color || verb.no_color, env.out_terminal,
                            std::getenv("NO_COLOR"), std::getenv("CLICOLOR_FORCE"));
  // NOLINTEND(concurrency-mt-unsafe)
  init_logging(env.verbosity, env.colour && env.err_terminal);
}

int fail(Env& env, const Error& error) {
  env.out.flush();
  // `| head` has had enough: the end of the output, and no error.
  if (error.code == Errc::kOutput && reader_went_away(env.out)) return 0;
  print_error(env.err, error);
  return static_cast<int>(exit_code_for(error.code));
}

int run_checked(std::vector<std::string> args, Env& env) {
  auto command = take_command(args);
  const auto app = make_app();
  auto prepared = prepare(*app, args);
  if (!prepared.has_value()) return fail(env, prepared.error());
  const Verb* verb = prepared->verb;
  if (command && (verb == nullptr || !verb->set_command)) {
    args.emplace_back("--");
    args.insert(args.end(), command->begin(), command->end());
  }
  if (const auto code = parse(*app, verb, args, env)) return *code;
  if (verb == nullptr) {
    env.err << app->root->help();
    return static_cast<int>(ExitCode::kUsage);
  }
  if (command && verb->set_command) verb->set_command(std::move(*command));
  apply(app->common, *verb->common, env);
  const auto result = verb->run(env);
  if (!result.has_value()) return fail(env, name_config_lines(result.error(), prepared->config));
  env.out.flush();
  return static_cast<int>(*result);
}

}  // namespace

App::App()
    : root(std::make_unique<CLI::App>("Where the memory of a running CPython process goes, "
                                      "and why it grows; from outside, without a restart.",
                                      "memspy")) {}
App::~App() = default;

Verb add_verb(CLI::App& root, const std::string& name, const std::string& description) {
  Verb verb;
  verb.app = root.add_subcommand(name, description);
  verb.common = std::make_shared<CommonOptions>();
  verb.app->get_formatter()->column_width(30);
  add_common(*verb.app, *verb.common);
  return verb;
}

std::unique_ptr<App> make_app() {
  auto app = std::make_unique<App>();
  CLI::App& root = *app->root;
  root.set_version_flag("-V,--version", version_text(), "What this binary is");
  root.footer(kFooter);
  root.get_formatter()->column_width(30);
  add_common(root, app->common);
  root.require_subcommand(0, 1);
  for (const auto add :
       {add_attach, add_record, add_report, add_top, add_dump, add_heap, add_snapshot, add_why,
        add_gc, add_traces, add_diff, add_doctor, add_daemon, add_completions})
    app->verbs.push_back(add(root));
  return app;
}

int run_memspy(std::vector<std::string> args, Env& env) {
  try {
    env.command_line = args;
    env.command_line.insert(env.command_line.begin(), "memspy");
    return run_checked(std::move(args), env);
  } catch (const std::exception& error) {
    // Only bugs and exhausted memory throw; the libraries return their errors.
    return fail(env, make_error(Errc::kInternal, std::string("internal error: ") + error.what()));
  }
}

}  // namespace memspy::cli
