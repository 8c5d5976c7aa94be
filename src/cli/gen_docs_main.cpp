// Writes man pages and completion scripts into a folder; run by the build, not installed.
#include <filesystem>
#include <fstream>
#include <iostream>

#include "cli/app.h"
#include "cli/completions.h"
#include "cli/man_pages.h"

namespace {

bool write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) std::cerr << "cannot write " << path << '\n';
  return file.good();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: memspy_gen_docs FOLDER\n";
    return 2;
  }
  using namespace memspy::cli;
  const std::filesystem::path folder(argv[1]);
  std::filesystem::create_directories(folder);
  const auto app = make_app();
  const ProgramModel program = describe_program(*app);
  bool ok = write(folder / "memspy.1", program_man_page(program));
  for (const VerbModel& verb : program.verbs)
    ok = write(folder / ("memspy-" + verb.name + ".1"), verb_man_page(program, verb)) && ok;
  ok = write(folder / "memspy.bash", bash_completion(program)) && ok;
  ok = write(folder / "_memspy", zsh_completion(program)) && ok;
  ok = write(folder / "memspy.fish", fish_completion(program)) && ok;
  return ok ? 0 : 1;
}
