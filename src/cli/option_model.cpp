#include "cli/option_model.h"

#include <CLI/CLI.hpp>
#include <sstream>

#include "cli/app.h"

namespace memspy::cli {
namespace {

std::vector<OptionModel> describe_options(const CLI::App& app) {
  std::vector<OptionModel> models;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // not advertised
    OptionModel model;
    for (const std::string& name : option->get_snames()) model.spellings.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) model.spellings.push_back("--" + name);
    if (option->get_positional()) model.positional = option->get_name(/*positional=*/true);
    if (option->get_items_expected_max() != 0) model.type = option->get_type_name();
    model.description = option->get_description();
    models.push_back(std::move(model));
  }
  return models;
}

}  // namespace

std::vector<std::string> OptionModel::choices() const {
  std::vector<std::string> words;
  if (takes_file() || type.find('|') == std::string::npos) return words;
  std::istringstream stream(type);
  for (std::string word; std::getline(stream, word, '|');) words.push_back(word);
  return words;
}

ProgramModel describe_program(const App& app) {
  ProgramModel program;
  program.description = app.root->get_description();
  program.footer = app.root->get_footer();
  program.options = describe_options(*app.root);
  for (const Verb& verb : app.verbs) {
    VerbModel model;
    model.name = verb.app->get_name();
    model.description = verb.app->get_description();
    model.takes_command = static_cast<bool>(verb.set_command);
    model.options = describe_options(*verb.app);
    program.verbs.push_back(std::move(model));
  }
  return program;
}

}  // namespace memspy::cli
