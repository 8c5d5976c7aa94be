#include "cli/completions.h"

#include <spdlog/fmt/fmt.h>

namespace memspy::cli {
namespace {

// Python processes as "pid" lines; the same program text serves all three shells.
constexpr const char* kPids =
    "ps -eo pid=,comm= 2>/dev/null | awk '/python|uwsgi|gunicorn/ {print $1}'";

std::string join(const std::vector<std::string>& words, std::string_view separator) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += separator;
    text += word;
  }
  return text;
}

std::string escape(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

// Inside single quotes of a POSIX-like shell.
std::string quote_word(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out;
}

std::vector<std::string> verb_names(const ProgramModel& program) {
  std::vector<std::string> names;
  for (const VerbModel& verb : program.verbs) names.push_back(verb.name);
  return names;
}

std::vector<std::string> all_spellings(const std::vector<OptionModel>& options) {
  std::vector<std::string> all;
  for (const OptionModel& option : options)
    all.insert(all.end(), option.spellings.begin(), option.spellings.end());
  return all;
}

std::string bash_values(const OptionModel& option) {
  if (option.takes_file()) return "COMPREPLY=($(compgen -f -- \"$cur\"))";
  if (option.takes_pid()) return "COMPREPLY=($(compgen -W \"$(_memspy_pids)\" -- \"$cur\"))";
  const auto choices = option.choices();
  if (choices.empty()) return ":";
  return fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", join(choices, " "));
}

std::string bash_verb(const VerbModel& verb) {
  std::string text = fmt::format("    {})\n      case $prev in\n", verb.name);
  std::string place = ":";
  for (const OptionModel& option : verb.options) {
    if (!option.positional.empty()) place = bash_values(option);
    if (option.type.empty() || option.spellings.empty()) continue;
    text += fmt::format("        {}) {}; return ;;\n", join(option.spellings, "|"),
                        bash_values(option));
  }
  text += fmt::format(
      "      esac\n      if [[ $cur == -* ]]; then\n"
      "        COMPREPLY=($(compgen -W '{}' -- \"$cur\"))\n      else\n        {}\n      fi ;;\n",
      join(all_spellings(verb.options), " "), place);
  return text;
}

std::string zsh_action(const OptionModel& option) {
  if (option.takes_file()) return "_files";
  if (option.takes_pid()) return "_memspy_pids";
  const auto choices = option.choices();
  return choices.empty() ? " " : "(" + join(choices, " ") + ")";
}

std::string zsh_option(const OptionModel& option) {
  const std::string description = quote_word(escape(option.description, "[]:\\"));
  const std::string type = option.choices().empty() ? option.type : "choice";
  std::string text;
  for (const std::string& spelling : option.spellings) {
    text +=
        fmt::format(" \\\n        '({}){}[{}]", join(option.spellings, " "), spelling, description);
    if (!option.type.empty()) text += fmt::format(":{}:{}", type, zsh_action(option));
    text += "'";
  }
  if (!option.positional.empty())
    text += fmt::format(" \\\n        '*:{}:{}'", option.positional, zsh_action(option));
  return text;
}

std::string fish_values(const OptionModel& option) {
  if (option.type.empty()) return "";
  if (option.takes_file()) return " -r -F";
  if (option.takes_pid()) return " -x -a '(__memspy_pids)'";
  const auto choices = option.choices();
  return choices.empty() ? " -x" : fmt::format(" -x -a '{}'", join(choices, " "));
}

std::string fish_option(const std::string& condition, const OptionModel& option) {
  std::string names;
  for (const std::string& spelling : option.spellings)
    names += spelling.starts_with("--") ? " -l " + spelling.substr(2) : " -s " + spelling.substr(1);
  std::string text;
  if (!names.empty())
    text += fmt::format("complete -c memspy -n '{}'{} -d '{}'{}\n", condition, names,
                        escape(option.description, "'\\"), fish_values(option));
  if (!option.positional.empty() && option.takes_pid())
    text += fmt::format("complete -c memspy -n '{}' -a '(__memspy_pids)'\n", condition);
  if (!option.positional.empty() && option.takes_file())
    text += fmt::format("complete -c memspy -n '{}' -F\n", condition);
  if (!option.positional.empty() && !option.choices().empty())
    text +=
        fmt::format("complete -c memspy -n '{}' -a '{}'\n", condition, join(option.choices(), " "));
  return text;
}

}  // namespace

std::string bash_completion(const ProgramModel& program) {
  std::string text =
      "# bash completion for memspy, made by `memspy completions bash`\n"
      "_memspy_pids() { " +
      std::string(kPids) +
      "; }\n"
      "_memspy() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= i\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case ${COMP_WORDS[i]} in\n"
      "      --) COMPREPLY=($(compgen -c -- \"$cur\")); return ;;\n"
      "      --config) ((i++)) ;;\n"
      "      -*) ;;\n"
      "      *) [[ -z $verb ]] && verb=${COMP_WORDS[i]} ;;\n"
      "    esac\n"
      "  done\n";
  const std::string verbs = join(verb_names(program), " ");
  // A verb may be shortened.
  text += fmt::format(
      "  local -a full=($(compgen -W '{}' -- \"$verb\"))\n"
      "  [[ -n $verb && ${{#full[@]}} -eq 1 ]] && verb=${{full[0]}}\n"
      "  case $verb in\n"
      "    '')\n      case $prev in\n",
      verbs);
  for (const OptionModel& option : program.options)
    if (!option.type.empty())
      text += fmt::format("        {}) {}; return ;;\n", join(option.spellings, "|"),
                          bash_values(option));
  text += fmt::format("      esac\n      COMPREPLY=($(compgen -W '{} {}' -- \"$cur\")) ;;\n", verbs,
                      join(all_spellings(program.options), " "));
  for (const VerbModel& verb : program.verbs) text += bash_verb(verb);
  text += "  esac\n}\ncomplete -o bashdefault -F _memspy memspy\n";
  return text;
}

std::string zsh_completion(const ProgramModel& program) {
  std::string text =
      "#compdef memspy\n# zsh completion for memspy, made by `memspy completions zsh`\n"
      "_memspy_pids() {\n  local -a pids\n  pids=(${(f)\"$(" +
      std::string(kPids) +
      ")\"})\n"
      "  compadd -a pids\n}\n"
      "_memspy() {\n  local -a verbs\n  verbs=(\n";
  for (const VerbModel& verb : program.verbs)
    text += fmt::format("    '{}:{}'\n", verb.name, quote_word(escape(verb.description, ":")));
  text +=
      "  )\n"
      "  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
      "    _describe 'verb' verbs\n    return\n  fi\n"
      "  local verb=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $verb in\n";
  for (const VerbModel& verb : program.verbs) {
    text += fmt::format("    {})\n      _arguments -s", verb.name);
    for (const OptionModel& option : verb.options) text += zsh_option(option);
    text += " ;;\n";
  }
  text += "  esac\n}\n_memspy \"$@\"\n";
  return text;
}

std::string fish_completion(const ProgramModel& program) {
  std::string text =
      "# fish completion for memspy, made by `memspy completions fish`\n"
      "function __memspy_pids\n  " +
      std::string(kPids) +
      "\nend\n"
      "complete -c memspy -f\n";
  for (const OptionModel& option : program.options)
    text += fish_option("__fish_use_subcommand", option);
  for (const VerbModel& verb : program.verbs) {
    text += fmt::format("complete -c memspy -n __fish_use_subcommand -a {} -d '{}'\n", verb.name,
                        escape(verb.description, "'\\"));
    for (const OptionModel& option : verb.options)
      text += fish_option("__fish_seen_subcommand_from " + verb.name, option);
  }
  return text;
}

}  // namespace memspy::cli
