#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <string>
#include <vector>

#include "cli/app.h"
#include "cli/fd_output.h"
#include "cli/hints.h"
#include "cli/ports.h"
#include "cli/signals.h"

namespace {

std::size_t terminal_columns() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace memspy;
  // The daemon starts its tracers as /proc/self/exe, which would be their name.
  ::prctl(PR_SET_NAME, "memspy", 0, 0, 0);
  cli::ignore_write_signals();
  cli::FdOutput standard_output(STDOUT_FILENO);
  std::ostream out(&standard_output);
  const SystemClock clock;
  cli::Env env{std::cin, out, std::cerr, clock, procfs::ProcDir{}};
  env.in_terminal = isatty(STDIN_FILENO) != 0;
  env.out_terminal = isatty(STDOUT_FILENO) != 0;
  env.err_terminal = isatty(STDERR_FILENO) != 0;
  env.columns = terminal_columns();
  env.cache_folder = cli::user_cache_folder();
  cli::open_real_ports(env);
  const int code = cli::run_memspy(std::vector<std::string>(argv + 1, argv + argc), env);
  out.flush();
  const int error = standard_output.error();
  if (error == 0 || error == EPIPE) return code;  // a reader that went away had enough
  if (code != 0) return code;
  cli::print_error(std::cerr, make_error(Errc::kOutput, "cannot write standard output", error));
  return static_cast<int>(cli::ExitCode::kOutput);
}
