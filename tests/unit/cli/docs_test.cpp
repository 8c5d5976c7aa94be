// Completions and man pages hold every option, and shells and troff take them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/app.h"
#include "cli/completions.h"
#include "cli/man_pages.h"
#include "support/result_matchers.h"

namespace memspy::cli {
namespace {

using ::testing::HasSubstr;

// 0 when `tool` takes the text; nullopt when there is no such tool here.
std::optional<int> check_with(const std::string& tool, const std::string& arguments,
                              const std::string& text) {
  if (std::system(("command -v " + tool + " >/dev/null 2>&1").c_str()) != 0) return std::nullopt;
  const auto path =
      std::filesystem::temp_directory_path() / ("memspy-docs-" + std::to_string(::getpid()));
  std::ofstream(path) << text;
  const int status = std::system((tool + " " + arguments + " " + path.string()).c_str());
  std::filesystem::remove(path);
  return status;
}

class Docs : public ::testing::Test {
 protected:
  ProgramModel program_ = describe_program(*make_app());
};

TEST_F(Docs, every_verb_has_options_with_descriptions) {
  EXPECT_EQ(program_.verbs.size(), 14U);
  for (const VerbModel& verb : program_.verbs) {
    EXPECT_GT(verb.options.size(), 3U);
    for (const OptionModel& option : verb.options)
      EXPECT_FALSE(option.description.empty())
          << verb.name << " "
          << (option.spellings.empty() ? option.positional : option.spellings[0]);
  }
}

TEST_F(Docs, bash) {
  const std::string text = bash_completion(program_);
  for (const VerbModel& verb : program_.verbs) EXPECT_THAT(text, HasSubstr(verb.name));
  EXPECT_THAT(text, HasSubstr("--timeseries"));
  EXPECT_EQ(check_with("bash", "-n", text), 0);
}

TEST_F(Docs, zsh) {
  const std::string text = zsh_completion(program_);
  EXPECT_THAT(text, HasSubstr("#compdef memspy"));
  EXPECT_THAT(text, HasSubstr("--timeseries"));
  if (const auto status = check_with("zsh", "-n", text)) {
    EXPECT_EQ(*status, 0);
  }
}

TEST_F(Docs, fish) {
  const std::string text = fish_completion(program_);
  EXPECT_THAT(text, HasSubstr("-l timeseries"));
  if (const auto status = check_with("fish", "--no-execute", text)) {
    EXPECT_EQ(*status, 0);
  }
}

TEST_F(Docs, man_pages) {
  EXPECT_THAT(program_man_page(program_), HasSubstr(".TH MEMSPY 1"));
  for (const VerbModel& verb : program_.verbs) {
    const std::string text = verb_man_page(program_, verb);
    EXPECT_THAT(text, HasSubstr(".SH OPTIONS"));
    if (const auto status = check_with("groff", "-man -Tascii -ww -z", text)) {
      EXPECT_EQ(*status, 0);
    }
  }
}

}  // namespace
}  // namespace memspy::cli
