#include "cli/man_pages.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cctype>

#include "cli/build_info.h"

namespace memspy::cli {
namespace {

// Text as troff takes it: hyphens stay what they are when copied, no line begins with a request.
std::string troff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string head(const std::string& name, const std::string& what) {
  return fmt::format(
      ".\\\" Made from the program's own options; do not edit.\n"
      ".TH {} 1 \"\" \"memspy {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n",
      upper(name), version(), troff(name), troff(what));
}

std::string options_section(const std::vector<OptionModel>& options) {
  std::string text = ".SH OPTIONS\n";
  for (const OptionModel& option : options) {
    std::string label;
    for (const std::string& spelling : option.spellings)
      label += fmt::format("{}\\fB{}\\fR", label.empty() ? "" : ", ", troff(spelling));
    if (label.empty()) {
      label = fmt::format("\\fI{}\\fR", troff(option.positional));
    } else if (!option.type.empty()) {
      label += fmt::format(" \\fI{}\\fR", troff(option.type));
    }
    text += fmt::format(".TP\n{}\n{}\n", label, troff(option.description));
  }
  return text;
}

std::string synopsis(const VerbModel& verb) {
  std::string text = fmt::format(".SH SYNOPSIS\n.B memspy {}\n[\\fIOPTIONS\\fR]", troff(verb.name));
  for (const OptionModel& option : verb.options)
    if (!option.positional.empty()) text += fmt::format(" [\\fI{}\\fR]", troff(option.positional));
  if (verb.takes_command)
    text += "\n.br\n\\fBmemspy " + troff(verb.name) +
            "\\fR [\\fIOPTIONS\\fR] \\-\\- \\fICMD\\fR [\\fIARGS\\fR]";
  return text + "\n";
}

std::string references(const ProgramModel& program, const std::string& but) {
  std::string text = ".SH SEE ALSO\n";
  if (!but.empty()) text += ".BR memspy (1),\n";
  for (const VerbModel& verb : program.verbs)
    if (verb.name != but) text += fmt::format(".BR memspy\\-{} (1)\n", troff(verb.name));
  return text;
}

}  // namespace

std::string program_man_page(const ProgramModel& program) {
  std::string text = head("memspy", "where the memory of a running CPython process goes");
  text += ".SH SYNOPSIS\n.B memspy\n\\fIVERB\\fR [\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n" +
          troff(program.description) + "\n.SH VERBS\n";
  for (const VerbModel& verb : program.verbs)
    text +=
        fmt::format(".TP\n.BR memspy\\-{} (1)\n{}\n", troff(verb.name), troff(verb.description));
  text += options_section(program.options);
  text += ".SH EXIT STATUS\n" + troff(program.footer) + "\n";
  return text + references(program, "");
}

std::string verb_man_page(const ProgramModel& program, const VerbModel& verb) {
  std::string text = head("memspy-" + verb.name, verb.description);
  text += synopsis(verb) + ".SH DESCRIPTION\n" + troff(verb.description) + ".\n";
  text += options_section(verb.options);
  return text + references(program, verb.name);
}

}  // namespace memspy::cli
