#include "cli/config_file.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <fstream>

#include "cli/hints.h"

namespace memspy::cli {
namespace {

bool mentions(const std::vector<std::string>& typed, const CLI::Option& option) {
  const auto is = [&](const std::string& arg) {
    for (const std::string& name : option.get_lnames())
      if (arg == "--" + name || arg.starts_with("--" + name + "=")) return true;
    for (const std::string& name : option.get_snames())
      if (arg.starts_with("-" + name)) return true;
    return false;
  };
  return std::any_of(typed.begin(), typed.end(), is);
}

// What was typed wins, also where it excludes what the file says (--rate over interval).
bool overruled(const std::vector<std::string>& typed, const CLI::Option& option) {
  if (mentions(typed, option)) return true;
  const auto excluded = option.get_excludes();
  return std::any_of(excluded.begin(), excluded.end(),
                     [&](const CLI::Option* other) { return mentions(typed, *other); });
}

bool known_to_a_verb(const CLI::App& root, const std::string& name) {
  const auto verbs = root.get_subcommands([](const CLI::App*) { return true; });
  return std::any_of(verbs.begin(), verbs.end(), [&](const CLI::App* verb) {
    return verb->get_option_no_throw("--" + name) != nullptr;
  });
}

void append(std::vector<std::string>& args, const CLI::Option& option,
            const CLI::ConfigItem& item) {
  const bool flag = option.get_items_expected_max() == 0;
  if (flag && item.inputs.empty()) args.push_back("--" + item.name);
  for (const std::string& input : item.inputs) {
    if (flag && input == "false") continue;
    args.push_back(flag && input == "true" ? "--" + item.name : "--" + item.name + "=" + input);
  }
}

}  // namespace

Result<std::vector<std::string>> read_config(const std::string& path, const CLI::App& root,
                                             const CLI::App& verb,
                                             const std::vector<std::string>& typed) {
  std::ifstream file(path);
  if (!file) {
    Error error = usage_error("cannot read the configuration " + path);
    error.sys = errno;
    return error;
  }
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_config(file);
  } catch (const CLI::Error& error) {
    return usage_error("the configuration " + path + " is not TOML", error.what());
  }
  std::vector<std::string> args;
  for (const CLI::ConfigItem& item : items) {
    if (item.name == "++" || item.name == "--") continue;  // CLI11's marks of a section's ends
    if (!item.parents.empty() && item.parents.front() != verb.get_name()) continue;
    const CLI::Option* option = verb.get_option_no_throw("--" + item.name);
    if (option != nullptr) {
      if (!overruled(typed, *option)) append(args, *option, item);
    } else if (!item.parents.empty() || !known_to_a_verb(root, item.name)) {
      return usage_error("the configuration " + path + " has an option memspy does not know",
                         item.fullname(), "memspy " + verb.get_name() + " --help");
    }
  }
  return args;
}

}  // namespace memspy::cli
