#include "cli/config_file.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include <spdlog/fmt/fmt.h>
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

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

std::vector<const CLI::App*> verbs_of(const CLI::App& root) {
  return root.get_subcommands([](const CLI::App*) { return true; });
}

bool known_to_a_verb(const CLI::App& root, const std::string& name) {
  const auto verbs = verbs_of(root);
  return std::any_of(verbs.begin(), verbs.end(), [&](const CLI::App* verb) {
    return verb->get_option_no_throw("--" + name) != nullptr;
  });
}

bool is_verb(const CLI::App& root, const std::string& name) {
  const auto verbs = verbs_of(root);
  return std::any_of(verbs.begin(), verbs.end(),
                     [&](const CLI::App* verb) { return verb->get_name() == name; });
}

// As it would be typed; nullopt: a table, which no option takes.
std::optional<std::string> typed_form(const toml::node& value) {
  if (const auto* text = value.as_string()) return text->get();
  if (value.is_table() || value.is_array()) return std::nullopt;
  std::ostringstream out;
  out << toml::node_view<const toml::node>(value);
  return out.str();
}

std::string place_of(const toml::source_region& at) {
  return fmt::format("line {}, column {}", at.begin.line, at.begin.column);
}

class ConfigReader {
 public:
  ConfigReader(const std::string& path, const CLI::App& root, const CLI::App& verb,
               const std::vector<std::string>& typed, const TryOptions& try_options)
      : root_(root), verb_(verb), typed_(typed), try_options_(try_options) {
    config_.path = path;
  }

  Result<Config> read(const toml::table& file) {
    for (const auto& [key, value] : file) {
      const std::string name(key.str());
      const toml::table* section = value.as_table();
      if (section == nullptr) {
        MEMSPY_CHECK(add(key, value, known_to_a_verb(root_, name)));
      } else if (!is_verb(root_, name)) {
        return refuse("has a section that is no verb of memspy", name, key.source());
      } else if (name == verb_.get_name()) {
        for (const auto& [option, inner] : *section) MEMSPY_CHECK(add(option, inner, false));
      }
    }
    return std::move(config_);
  }

 private:
  Error refuse(const std::string& what, const std::string& evidence,
               const toml::source_region& at) const {
    return usage_error("the configuration " + config_.path + " " + what,
                       place_of(at) + ": " + evidence, "memspy " + verb_.get_name() + " --help");
  }

  // `elsewhere`: an option of another verb may stand there.
  Result<Unit> add(const toml::key& key, const toml::node& value, bool elsewhere) {
    const std::string name(key.str());
    const CLI::Option* option = verb_.get_option_no_throw("--" + name);
    if (option == nullptr) {
      if (elsewhere) return Unit{};
      return refuse("has an option memspy does not know", name, key.source());
    }
    if (overruled(typed_, *option)) return Unit{};
    if (option->get_items_expected_max() == 0) return add_flag(name, value);
    const toml::array* values = value.as_array();
    if (values == nullptr) return add_value(name, value);
    for (const toml::node& each : *values) MEMSPY_CHECK(add_value(name, each));
    return Unit{};
  }

  Result<Unit> add_flag(const std::string& name, const toml::node& value) {
    const auto* set = value.as_boolean();
    if (set == nullptr) return refuse("has a flag that is not true or false", name, value.source());
    if (!set->get()) return Unit{};
    return take("--" + name, {name, "true", place_of(value.source())}, value);
  }

  Result<Unit> add_value(const std::string& name, const toml::node& value) {
    const auto text = typed_form(value);
    if (!text) return refuse("has an option whose value is no value", name, value.source());
    return take("--" + name + "=" + *text, {name, *text, place_of(value.source())}, value);
  }

  // One by one, so that what is refused is this value (or does not go with those before it), and
  // can be told with its place: the parser of the command line knows none.
  Result<Unit> take(std::string argument, Config::Value place, const toml::node& value) {
    config_.args.push_back(std::move(argument));
    if (const auto refusal = try_options_(config_.args))
      return refuse("has a bad value", *refusal, value.source());
    config_.values.push_back(std::move(place));
    return Unit{};
  }

  const CLI::App& root_;
  const CLI::App& verb_;
  const std::vector<std::string>& typed_;
  const TryOptions& try_options_;
  Config config_;
};

// Messages speak of an option by its name, of a value between quotes.
bool speaks_of(const std::string& text, const Config::Value& value) {
  const std::string name = "--" + value.name;
  const auto at = text.find(name);
  const auto end = at + name.size();
  const bool named = at != std::string::npos &&
                     (end == text.size() || (text[end] != '-' && std::isalnum(text[end]) == 0));
  return named || text.find('"' + value.text + '"') != std::string::npos;
}

}  // namespace

Result<Config> read_config(const std::string& path, const CLI::App& root, const CLI::App& verb,
                           const std::vector<std::string>& typed, const TryOptions& try_options) {
  std::ifstream file(path);
  std::error_code none;
  if (std::filesystem::is_directory(path, none))
    return usage_error("the configuration " + path + " is a folder");
  if (!file) {
    Error error = usage_error("cannot read the configuration " + path);
    error.sys = errno;
    return error;
  }
  try {
    return ConfigReader(path, root, verb, typed, try_options).read(toml::parse(file, path));
  } catch (const toml::parse_error& error) {
    return usage_error(
        "the configuration " + path + " is not TOML",
        fmt::format("{}: {}", place_of(error.source()), std::string_view(error.description())));
  }
}

Error name_config_lines(Error error, const Config& config) {
  if (error.code != Errc::kUsage) return error;
  const std::string said = error.message + "\n" + error.why;
  for (const Config::Value& value : config.values) {
    if (!speaks_of(said, value)) continue;
    error.why +=
        fmt::format("{}{}: {} is {} in the configuration {}", error.why.empty() ? "" : "\n",
                    value.place, value.name, value.text, config.path);
  }
  return error;
}

}  // namespace memspy::cli
